/*
 * stats.c
 *	  The table of metrics and its Prometheus text.
 */
#include "stats.h"

#include <event2/buffer.h>

uint64_t	stats_counters[STAT_COUNTERS];
double		stats_gauges[STAT_GAUGES];

/* Rows of one family stand together; the first brings the help text. */
typedef struct MetricRow
{
	const char *family;			/* after "fleetd_" */
	const char *label;			/* label's name, NULL: none */
	const char *value;			/* label's value */
	const char *help;			/* NULL: as the row before */
} MetricRow;

static const MetricRow counter_rows[STAT_COUNTERS] = {
	[STAT_ACCEPTED] = {"connections_accepted_total", NULL, NULL, "Connections accepted"},
	[STAT_ACCEPT_FAILED] = {"accept_failures_total", NULL, NULL, "Failures of accept(), each of which paused listening"},
	[STAT_REFUSED_TOTAL] = {"connections_refused_total", "reason", "connections", "Connections turned away at a limit"},
	[STAT_REFUSED_ADDRESS] = {"connections_refused_total", "reason", "connections_per_address", NULL},
	[STAT_REFUSED_NETWORK] = {"connections_refused_total", "reason", "not_allowed", NULL},
	[STAT_REFUSED_SOURCE] = {"connections_refused_total", "reason", "source_not_permitted", NULL},
	[STAT_REFUSED_FAILURES] = {"connections_refused_total", "reason", "auth_failures", NULL},
	[STAT_BYTES_IN] = {"received_bytes_total", NULL, NULL, "Bytes read from peers, after TLS"},
	[STAT_BYTES_OUT] = {"sent_bytes_total", NULL, NULL, "Bytes written to peers, before TLS"},
	[STAT_FRAMES] = {"frames_total", NULL, NULL, "Whole frames read"},
	[STAT_FRAMES_SKIPPED] = {"frames_skipped_total", NULL, NULL, "Pieces of noise dropped between frames"},
	[STAT_ACKS] = {"acks_total", NULL, NULL, "Acknowledgements written"},
	[STAT_PAUSES_SINK] = {"pauses_total", "reason", "sink", "Times that reading from a connection stopped"},
	[STAT_PAUSES_OUTPUT] = {"pauses_total", "reason", "output", NULL},
	[STAT_PAUSES_RATE] = {"pauses_total", "reason", "rate", NULL},
	[STAT_BUDGET_ENDED] = {"budget_ended_total", NULL, NULL, "Times that a connection used up its turn"},
	[STAT_FRAMES_CUT] = {"frames_cut_total", NULL, NULL, "Unfinished frames of peers that ended"},
	[STAT_CLOSED_EOF] = {"connections_closed_total", "reason", "eof", "Connections closed"},
	[STAT_CLOSED_ERROR] = {"connections_closed_total", "reason", "error", NULL},
	[STAT_CLOSED_TLS] = {"connections_closed_total", "reason", "tls", NULL},
	[STAT_CLOSED_CERTIFICATE] = {"connections_closed_total", "reason", "certificate_names_no_device", NULL},
	[STAT_CLOSED_REVOKED] = {"connections_closed_total", "reason", "certificate_revoked", NULL},
	[STAT_CLOSED_TOKEN_REVOKED] = {"connections_closed_total", "reason", "token_revoked", NULL},
	[STAT_CLOSED_TOKEN_EXPIRED] = {"connections_closed_total", "reason", "token_expired", NULL},
	[STAT_CLOSED_AUTH_TIMEOUT] = {"connections_closed_total", "reason", "auth_timeout", NULL},
	[STAT_CLOSED_DENIED] = {"connections_closed_total", "reason", "denied", NULL},
	[STAT_CLOSED_UNAVAILABLE] = {"connections_closed_total", "reason", "unavailable", NULL},
	[STAT_CLOSED_MAPPING] = {"connections_closed_total", "reason", "mapping", NULL},
	[STAT_CLOSED_PROTOCOL] = {"connections_closed_total", "reason", "protocol", NULL},
	[STAT_CLOSED_DEVICE] = {"connections_closed_total", "reason", "device_not_allowed", NULL},
	[STAT_CLOSED_SOURCE] = {"connections_closed_total", "reason", "source_not_permitted", NULL},
	[STAT_CLOSED_QUOTA] = {"connections_closed_total", "reason", "over_quota", NULL},
	[STAT_CLOSED_FRAME_TOO_LONG] = {"connections_closed_total", "reason", "frame_too_long", NULL},
	[STAT_CLOSED_IDLE] = {"connections_closed_total", "reason", "idle", NULL},
	[STAT_CLOSED_WRITE_TIMEOUT] = {"connections_closed_total", "reason", "write_timeout", NULL},
	[STAT_CLOSED_INPUT_MEMORY] = {"connections_closed_total", "reason", "input_memory", NULL},
	[STAT_CLOSED_OVERLOAD] = {"connections_closed_total", "reason", "overload", NULL},
	[STAT_CLOSED_COMMAND] = {"connections_closed_total", "reason", "command_expired", NULL},
	[STAT_CLOSED_NO_MEMORY] = {"connections_closed_total", "reason", "no_memory", NULL},
	[STAT_CLOSED_SHUTDOWN] = {"connections_closed_total", "reason", "shutdown", NULL},
	[STAT_DATAGRAMS] = {"datagrams_total", NULL, NULL, "Datagrams read"},
	[STAT_DATAGRAMS_BAD] = {"datagrams_bad_total", NULL, NULL, "Datagrams that could not be followed to the end"},
	[STAT_DATAGRAMS_LOST] = {"datagrams_lost_total", NULL, NULL, "Datagrams that the kernel had no room for"},
	[STAT_DATAGRAM_REFUSED_NETWORK] = {"datagrams_refused_total", "reason", "not_allowed", "Datagrams turned away"},
	[STAT_DATAGRAM_REFUSED_SOURCE] = {"datagrams_refused_total", "reason", "source_not_permitted", NULL},
	[STAT_DATAGRAM_REFUSED_DEVICE] = {"datagrams_refused_total", "reason", "device_not_allowed", NULL},
	[STAT_DATAGRAM_REFUSED_RATE] = {"datagrams_refused_total", "reason", "rate", NULL},
	[STAT_DATAGRAM_REFUSED_QUOTA] = {"datagrams_refused_total", "reason", "over_quota", NULL},
	[STAT_DATAGRAM_REFUSED_LONG] = {"datagrams_refused_total", "reason", "frame_too_long", NULL},
	[STAT_DATAGRAM_REFUSED_OVERLOAD] = {"datagrams_refused_total", "reason", "overload", NULL},
	[STAT_DATAGRAM_ANSWERS_LONG] = {"datagram_answers_dropped_total", NULL, NULL, "Answers not sent because they were longer than what they answer"},
	[STAT_OVER_DEVICE_RATE] = {"records_over_rate_total", "limit", "device_per_second", "Records taken of a sender that then has to wait"},
	[STAT_OVER_SOURCE_RATE] = {"records_over_rate_total", "limit", "source_per_second", NULL},
	[STAT_RECORDS] = {"records_total", NULL, NULL, "Records handed to the sink"},
	[STAT_RECORDS_ACCEPTED] = {"records_decided_total", "verdict", "accepted", "Records committed"},
	[STAT_RECORDS_REPEATED] = {"records_decided_total", "verdict", "repeated", NULL},
	[STAT_RECORDS_REJECTED] = {"records_decided_total", "verdict", "rejected", NULL},
	[STAT_OVER_QUOTA] = {"over_quota_total", NULL, NULL, "Rejected records that were not stored, since their tenant sent more than its quota"},
	[STAT_RECORDS_LATE] = {"records_late_total", NULL, NULL, "Accepted records older than the vehicle's state"},
	[STAT_RECORDS_FOREIGN] = {"records_foreign_total", NULL, NULL, "Records refused because they were of another device than their sender"},
	[STAT_BATCHES] = {"batches_total", NULL, NULL, "Batches committed"},
	[STAT_BATCHES_RETRIED] = {"batches_retried_total", NULL, NULL, "Batches sent again after an error"},
	[STAT_BATCHES_SPLIT] = {"batches_split_total", NULL, NULL, "Batches halved to find a row that the server refuses"},
	[STAT_ROWS_SALVAGED] = {"rows_salvaged_total", NULL, NULL, "Refused rows that went to quarantine as malformed"},
	[STAT_ROWS_STUCK] = {"rows_stuck_total", NULL, NULL, "Tries of a row that not even quarantine takes"},
	[STAT_CONNECTS] = {"database_connects_total", NULL, NULL, "Database connections that came up"},
	[STAT_CONNECTION_LOST] = {"database_failures_total", NULL, NULL, "Database connections lost or not made"},
	[STAT_ORPHANS] = {"records_orphaned_total", NULL, NULL, "Records committed after their sender had gone"},
	[STAT_AUTH_OK] = {"auth_total", "result", "ok", "Tokens checked"},
	[STAT_AUTH_DENIED] = {"auth_total", "result", "denied", NULL},
	[STAT_AUTH_UNAVAILABLE] = {"auth_total", "result", "unavailable", NULL},
	[STAT_AUTH_CACHED] = {"auth_cached_total", NULL, NULL, "Tokens answered from the cache"},
	[STAT_AUTH_CHECKS] = {"auth_checks_total", NULL, NULL, "Queries whether tokens and sources in use are still good"},
	[STAT_FAILURES_TOKEN] = {"auth_failures_total", "kind", "token", "Attempts to authenticate that failed"},
	[STAT_FAILURES_HANDSHAKE] = {"auth_failures_total", "kind", "handshake", NULL},
	[STAT_AUTH_BLOCKED] = {"auth_blocked_total", NULL, NULL, "Connections and requests refused because their address had failed too often"},
	[STAT_CRL_READS] = {"revocation_lists_read_total", NULL, NULL, "Times that a changed list of revoked certificates was read"},
	[STAT_CRL_FAILURES] = {"revocation_list_failures_total", NULL, NULL, "Times that one could not be read"},
	[STAT_TICKS] = {"ticks_total", NULL, NULL, "Calls of fleet.tick()"},
	[STAT_TICKS_FAILED] = {"ticks_failed_total", NULL, NULL, "Calls of fleet.tick() that failed"},
	[STAT_RELOADS] = {"reloads_total", NULL, NULL, "Configuration reloads"},
	[STAT_RELOADS_FAILED] = {"reloads_failed_total", NULL, NULL, "Configuration reloads refused"},
	[STAT_HTTP_200] = {"http_responses_total", "code", "200", "HTTP responses"},
	[STAT_HTTP_400] = {"http_responses_total", "code", "400", NULL},
	[STAT_HTTP_401] = {"http_responses_total", "code", "401", NULL},
	[STAT_HTTP_403] = {"http_responses_total", "code", "403", NULL},
	[STAT_HTTP_404] = {"http_responses_total", "code", "404", NULL},
	[STAT_HTTP_405] = {"http_responses_total", "code", "405", NULL},
	[STAT_HTTP_413] = {"http_responses_total", "code", "413", NULL},
	[STAT_HTTP_429] = {"http_responses_total", "code", "429", NULL},
	[STAT_HTTP_503] = {"http_responses_total", "code", "503", NULL},
	[STAT_HTTP_OTHER] = {"http_responses_total", "code", "other", NULL},
	[STAT_BROKER_CONNECTS] = {"broker_connects_total", NULL, NULL, "Subscriptions at brokers that came up"},
	[STAT_BROKER_FAILURES] = {"broker_failures_total", NULL, NULL, "Connections to brokers lost or not made"},
	[STAT_BROKER_MESSAGES] = {"broker_messages_total", NULL, NULL, "Messages taken from brokers"},
	[STAT_KAFKA_TOMBSTONES] = {"kafka_tombstones_total", NULL, NULL, "Kafka messages without a value, which are ignored"},
	[STAT_KAFKA_REBALANCES] = {"kafka_rebalances_total", NULL, NULL, "Times that a consumer group gave or took partitions"},
	[STAT_KAFKA_DROPPED] = {"kafka_dropped_total", NULL, NULL, "Kafka messages in flight when their partition was taken, which are read again"},
	[STAT_KAFKA_COMMITS] = {"kafka_commits_total", "result", "ok", "Commits of offsets"},
	[STAT_KAFKA_COMMITS_FAILED] = {"kafka_commits_total", "result", "failed", NULL},
	[STAT_KAFKA_ERRORS] = {"kafka_errors_total", NULL, NULL, "Errors that librdkafka told of"},
	[STAT_VINS_REPLACED] = {"vins_total", "outcome", "replaced", "Vehicle identification numbers that were kept from the database"},
	[STAT_VINS_REFUSED] = {"vins_total", "outcome", "refused", NULL},
	[STAT_VINS_MASKED] = {"vins_total", "outcome", "masked", NULL},
	[STAT_COMMANDS_SENT] = {"commands_sent_total", NULL, NULL, "Commands written to devices, repetitions too"},
	[STAT_COMMANDS_CONFIRMED] = {"command_outcomes_total", "outcome", "confirmed", "What became of commands here"},
	[STAT_COMMANDS_FAILED] = {"command_outcomes_total", "outcome", "failed", NULL},
	[STAT_COMMANDS_UNSUPPORTED] = {"command_outcomes_total", "outcome", "unsupported", NULL},
	[STAT_COMMANDS_UNANSWERED] = {"command_outcomes_total", "outcome", "unanswered", NULL},
	[STAT_COMMANDS_RELEASED] = {"command_outcomes_total", "outcome", "released", NULL},
	[STAT_COMMANDS_LEASED] = {"command_outcomes_total", "outcome", "leased", NULL},
	[STAT_COMMAND_ANSWERS_STRAY] = {"command_answers_unexpected_total", NULL, NULL, "Answers to commands that do not wait for one"},
	[STAT_COMMAND_REPORTS_LOST] = {"command_reports_lost_total", NULL, NULL, "Outcomes of commands that the database did not hear of"},
	[STAT_COMMAND_DEVICES_REFUSED] = {"command_devices_refused_total", NULL, NULL, "Connected devices that get no commands, beyond a limit"},
	[STAT_COMMAND_QUERIES_FAILED] = {"command_queries_failed_total", NULL, NULL, "Queries about commands that failed"},
	[STAT_LOG_SUPPRESSED] = {"log_lines_suppressed_total", NULL, NULL, "Log lines left out at the limit"},
};

static const MetricRow gauge_rows[STAT_GAUGES] = {
	[GAUGE_CONN_TLS] = {"connections", "state", "tls", "Connections of stream adapters"},
	[GAUGE_CONN_HELLO] = {"connections", "state", "hello", NULL},
	[GAUGE_CONN_CHECKING] = {"connections", "state", "checking", NULL},
	[GAUGE_CONN_OPEN] = {"connections", "state", "open", NULL},
	[GAUGE_CONN_WAITING] = {"connections", "state", "waiting", NULL},
	[GAUGE_CONN_STUFFED] = {"connections", "state", "stuffed", NULL},
	[GAUGE_CONN_SLOWED] = {"connections", "state", "slowed", NULL},
	[GAUGE_CONN_DRAINING] = {"connections", "state", "draining", NULL},
	[GAUGE_CONN_CLOSING] = {"connections", "state", "closing", NULL},
	[GAUGE_CONN_LINGERING] = {"connections", "state", "lingering", NULL},
	[GAUGE_DATABASE_UP] = {"database_up", NULL, NULL, "Database connections for batches that are up"},
	[GAUGE_DATABASE_CONNECTIONS] = {"database_connections", NULL, NULL, "Database connections for batches that should be up"},
	[GAUGE_QUEUE_ROWS] = {"queue_rows", NULL, NULL, "Rows taken and not yet committed"},
	[GAUGE_QUEUE_BYTES] = {"queue_bytes", NULL, NULL, "Memory of rows taken and not yet committed"},
	[GAUGE_INPUT_BYTES] = {"input_bytes", NULL, NULL, "Memory of unfinished frames"},
	[GAUGE_OUTPUT_BYTES] = {"output_bytes", NULL, NULL, "Answers that peers have not read yet"},
	[GAUGE_DATAGRAMS] = {"datagrams_waiting", NULL, NULL, "Datagrams whose records are not committed yet"},
	[GAUGE_HTTP_REQUESTS] = {"http_requests", NULL, NULL, "HTTP requests being served"},
	[GAUGE_HTTP_BODY_BYTES] = {"http_body_bytes", NULL, NULL, "Bytes of HTTP bodies that are not whole yet"},
	[GAUGE_BROKERS] = {"brokers", NULL, NULL, "Brokers, and Kafka clusters, that are configured"},
	[GAUGE_BROKERS_UP] = {"brokers_up", NULL, NULL, "Brokers that fleetd is subscribed at, and Kafka clusters that answer"},
	[GAUGE_BROKER_UNACKED] = {"broker_unacked", NULL, NULL, "Messages of brokers that are not committed yet"},
	[GAUGE_KAFKA_PARTITIONS] = {"kafka_partitions", NULL, NULL, "Kafka partitions that are assigned"},
	[GAUGE_KAFKA_LAG] = {"kafka_lag", NULL, NULL, "Messages of them that are not committed yet, as far as known"},
	[GAUGE_COMMANDS_UP] = {"commands_up", NULL, NULL, "1 while the database can hand over commands"},
	[GAUGE_COMMAND_DEVICES] = {"command_devices", NULL, NULL, "Connected devices that may be sent commands"},
	[GAUGE_COMMANDS_IN_FLIGHT] = {"commands_in_flight", NULL, NULL, "Commands written and not answered yet"},
	[GAUGE_START_TIME] = {"start_time_seconds", NULL, NULL, "When the daemon started, Unix time"},
};

#define HISTOGRAM_BOUNDS 12

typedef struct HistogramRow
{
	const char *family;
	const char *help;
	double		bounds[HISTOGRAM_BOUNDS];
} HistogramRow;

static const HistogramRow histogram_rows[STAT_HISTOGRAMS] = {
	[HISTOGRAM_COMMIT_SECONDS] = {"batch_commit_seconds", "Time from sending a batch to its commit",
	{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5}},
	[HISTOGRAM_BATCH_ROWS] = {"batch_rows", "Rows in a committed batch",
	{1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 100000}},
};

static struct
{
	uint64_t	buckets[HISTOGRAM_BOUNDS + 1];	/* last: above all bounds */
	uint64_t	count;
	double		sum;
}			histograms[STAT_HISTOGRAMS];

const char *
stats_label(StatCounter counter)
{
	return counter_rows[counter].value ? counter_rows[counter].value : "";
}

void
stats_observe(StatHistogram histogram, double value)
{
	unsigned	i = 0;

	while (i < HISTOGRAM_BOUNDS && value > histogram_rows[histogram].bounds[i])
		i++;
	histograms[histogram].buckets[i]++;
	histograms[histogram].count++;
	histograms[histogram].sum += value;
}

static void
write_row(struct evbuffer *out, const MetricRow *row, const char *type, double value)
{
	if (row->family == NULL)
		return;
	if (row->help != NULL)
		evbuffer_add_printf(out, "# HELP fleetd_%s %s\n# TYPE fleetd_%s %s\n",
							row->family, row->help, row->family, type);
	if (row->label != NULL)
		evbuffer_add_printf(out, "fleetd_%s{%s=\"%s\"} %.17g\n",
							row->family, row->label, row->value, value);
	else
		evbuffer_add_printf(out, "fleetd_%s %.17g\n", row->family, value);
}

void
stats_write_prometheus(struct evbuffer *out)
{
	evbuffer_add_printf(out, "# HELP fleetd_build_info The running version\n"
						"# TYPE fleetd_build_info gauge\n"
						"fleetd_build_info{version=\"%s\"} 1\n", VERSION);
	for (unsigned i = 0; i < STAT_COUNTERS; i++)
		write_row(out, &counter_rows[i], "counter", (double) stats_counters[i]);
	for (unsigned i = 0; i < STAT_GAUGES; i++)
		write_row(out, &gauge_rows[i], "gauge", stats_gauges[i]);
	for (unsigned h = 0; h < STAT_HISTOGRAMS; h++)
	{
		const HistogramRow *row = &histogram_rows[h];
		uint64_t	below = 0;

		evbuffer_add_printf(out, "# HELP fleetd_%s %s\n# TYPE fleetd_%s histogram\n",
							row->family, row->help, row->family);
		for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++)
		{
			below += histograms[h].buckets[i];
			evbuffer_add_printf(out, "fleetd_%s_bucket{le=\"%g\"} %llu\n", row->family,
								row->bounds[i], (unsigned long long) below);
		}
		evbuffer_add_printf(out, "fleetd_%s_bucket{le=\"+Inf\"} %llu\nfleetd_%s_sum %.17g\nfleetd_%s_count %llu\n",
							row->family, (unsigned long long) histograms[h].count,
							row->family, histograms[h].sum,
							row->family, (unsigned long long) histograms[h].count);
	}
}
