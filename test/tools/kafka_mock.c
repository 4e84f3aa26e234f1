/*
 * kafka_mock.c
 *	  A Kafka cluster for the tests: librdkafka's mock of one, with a few
 *	  commands.
 *
 *	kafka_mock BROKERS TOPIC=PARTITIONS...
 *
 * Prints "bootstrap HOST:PORT,...", then reads commands, one a line, and answers
 * each with a line:
 *
 *	committed GROUP TOPIC	sum of the committed offsets, and of the ends
 *	produce TOPIC PARTITION KEY	sends a tombstone
 *	down | up				all brokers go away, or come back
 *
 * It ends with its input.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 10000

static const char *bootstraps;

static rd_kafka_t *
client(rd_kafka_type_t type, const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		err[256];
	rd_kafka_t *rk;

	rd_kafka_conf_set(conf, "bootstrap.servers", bootstraps, err, sizeof(err));
	if (group != NULL)
		rd_kafka_conf_set(conf, "group.id", group, err, sizeof(err));
	rk = rd_kafka_new(type, conf, err, sizeof(err));
	if (rk == NULL)
	{
		fprintf(stderr, "kafka_mock: %s\n", err);
		exit(1);
	}
	return rk;
}

static int
partitions_of(rd_kafka_t *rk, const char *topic)
{
	const rd_kafka_metadata_t *metadata;
	rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
	int			n = 0;

	if (rd_kafka_metadata(rk, 0, handle, &metadata, PATIENCE_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		n = metadata->topics[0].partition_cnt;
		rd_kafka_metadata_destroy(metadata);
	}
	rd_kafka_topic_destroy(handle);
	return n;
}

static void
committed(const char *group, const char *topic)
{
	rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, group);
	int			n = partitions_of(rk, topic);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
	long long	sum = 0;
	long long	ends = 0;
	rd_kafka_resp_err_t code;

	rd_kafka_topic_partition_list_add_range(list, topic, 0, n - 1);
	code = rd_kafka_committed(rk, list, PATIENCE_MS);
	for (int i = 0; i < n && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
	{
		int64_t		low;
		int64_t		high;

		if (list->elems[i].offset > 0)
			sum += list->elems[i].offset;
		code = rd_kafka_query_watermark_offsets(rk, topic, i, &low, &high, PATIENCE_MS);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
			ends += high;
	}
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR && n > 0)
		printf("%lld %lld\n", sum, ends);
	else
		printf("error %s\n", rd_kafka_err2name(code));
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
}

static void
tombstone(const char *topic, int partition, const char *key)
{
	rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL);
	rd_kafka_resp_err_t code = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
												 RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE(NULL, 0),
												 RD_KAFKA_V_END);

	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		code = rd_kafka_flush(rk, PATIENCE_MS);
	printf("%s\n", code == RD_KAFKA_RESP_ERR_NO_ERROR ? "ok" : rd_kafka_err2name(code));
	rd_kafka_destroy(rk);
}

int
main(int argc, char **argv)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		err[256];
	char		line[512];
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, err, sizeof(err));
	rd_kafka_mock_cluster_t *cluster = rk && argc > 1 ? rd_kafka_mock_cluster_new(rk, atoi(argv[1])) : NULL;

	if (cluster == NULL)
	{
		fprintf(stderr, "usage: kafka_mock BROKERS TOPIC=PARTITIONS...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
	{
		char	   *equals = strchr(argv[i], '=');

		if (equals == NULL)
			return 2;
		*equals = '\0';
		if (rd_kafka_mock_topic_create(cluster, argv[i], atoi(equals + 1), 1) != RD_KAFKA_RESP_ERR_NO_ERROR)
			return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	bootstraps = rd_kafka_mock_cluster_bootstraps(cluster);
	printf("bootstrap %s\n", bootstraps);

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		char		a[200] = "";
		char		b[200] = "";
		int			partition;

		if (sscanf(line, "committed %199s %199s", a, b) == 2)
			committed(a, b);
		else if (sscanf(line, "produce %199s %d %199s", a, &partition, b) == 3)
			tombstone(a, partition, b);
		else if (strcmp(line, "down\n") == 0 || strcmp(line, "up\n") == 0)
		{
			if (line[0] == 'd')
				rd_kafka_mock_broker_set_down(cluster, -1);
			else
				rd_kafka_mock_broker_set_up(cluster, -1);
			printf("ok\n");
		}
		else
			printf("error unknown command\n");
	}
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return 0;
}
