/*
 * stats.h
 *	  Counters, gauges and histograms of the daemon, and their Prometheus text.
 *
 * A new metric is an enum value here and a row of the table in stats.c.
 */
#ifndef SHIM_STATS_H
#define SHIM_STATS_H

#include <stdint.h>

struct evbuffer;

typedef enum StatCounter
{
	/* connections of stream adapters */
	STAT_ACCEPTED,				/* connections accepted */
	STAT_ACCEPT_FAILED,			/* accept() failed, listening was paused */
	STAT_REFUSED_TOTAL,			/* turned away: too many connections */
	STAT_REFUSED_ADDRESS,		/* turned away: too many of this address */
	STAT_REFUSED_NETWORK,		/* turned away: not an address that may connect */
	STAT_REFUSED_SOURCE,		/* turned away: the database does not permit the source */
	STAT_REFUSED_FAILURES,		/* turned away: too many failed attempts of this address */
	STAT_BYTES_IN,
	STAT_BYTES_OUT,
	STAT_FRAMES,				/* whole frames, lines for json */
	STAT_FRAMES_SKIPPED,		/* noise between frames */
	STAT_ACKS,					/* acknowledgements written */
	STAT_PAUSES_SINK,			/* reading stopped: sink above its high mark */
	STAT_PAUSES_OUTPUT,			/* reading stopped: peer does not read */
	STAT_PAUSES_RATE,			/* reading stopped: above its rate */
	STAT_BUDGET_ENDED,			/* a connection used up its turn and had to yield */
	STAT_FRAMES_CUT,			/* the peer ended in the middle of a frame */
	/* why connections were closed; conn_close takes one of these */
	STAT_CLOSED_EOF,			/* the peer ended, all was answered */
	STAT_CLOSED_ERROR,			/* the socket failed */
	STAT_CLOSED_TLS,			/* the handshake failed */
	STAT_CLOSED_CERTIFICATE,	/* the certificate names no device */
	STAT_CLOSED_REVOKED,		/* the certificate was revoked meanwhile */
	STAT_CLOSED_TOKEN_REVOKED,	/* likewise the token */
	STAT_CLOSED_TOKEN_EXPIRED,
	STAT_CLOSED_AUTH_TIMEOUT,
	STAT_CLOSED_DENIED,			/* token unknown */
	STAT_CLOSED_UNAVAILABLE,	/* nobody to ask about the token */
	STAT_CLOSED_MAPPING,		/* no such mapping */
	STAT_CLOSED_PROTOCOL,		/* the adapter could not follow */
	STAT_CLOSED_DEVICE,			/* a device that the listener does not allow */
	STAT_CLOSED_SOURCE,			/* the database does not permit the source */
	STAT_CLOSED_QUOTA,			/* it sent more than its tenant may */
	STAT_CLOSED_FRAME_TOO_LONG,
	STAT_CLOSED_IDLE,
	STAT_CLOSED_WRITE_TIMEOUT,	/* the peer does not read its answers */
	STAT_CLOSED_INPUT_MEMORY,	/* unfinished frames hold too much memory */
	STAT_CLOSED_OVERLOAD,		/* the sink's hard limit */
	STAT_CLOSED_COMMAND,		/* a command expired before the peer had it */
	STAT_CLOSED_NO_MEMORY,
	STAT_CLOSED_SHUTDOWN,
	/* datagrams */
	STAT_DATAGRAMS,
	STAT_DATAGRAMS_BAD,			/* could not be followed to the end */
	STAT_DATAGRAMS_LOST,		/* the kernel had no room for them */
	STAT_DATAGRAM_REFUSED_NETWORK,
	STAT_DATAGRAM_REFUSED_SOURCE,
	STAT_DATAGRAM_REFUSED_DEVICE,
	STAT_DATAGRAM_REFUSED_RATE, /* above its rate */
	STAT_DATAGRAM_REFUSED_QUOTA,	/* beyond its tenant's quota */
	STAT_DATAGRAM_REFUSED_LONG,
	STAT_DATAGRAM_REFUSED_OVERLOAD, /* the sink's hard limit, or no memory */
	STAT_DATAGRAM_ANSWERS_LONG, /* not sent: longer than what they answer */
	/* rates */
	STAT_OVER_DEVICE_RATE,		/* reports taken of a device above its rate */
	STAT_OVER_SOURCE_RATE,
	/* records */
	STAT_RECORDS,				/* handed to the sink */
	STAT_RECORDS_ACCEPTED,
	STAT_RECORDS_REPEATED,
	STAT_RECORDS_REJECTED,
	STAT_OVER_QUOTA,			/* rejected, and not in quarantine */
	STAT_RECORDS_LATE,
	STAT_RECORDS_FOREIGN,		/* refused: of another device than their sender */
	/* sink */
	STAT_BATCHES,				/* committed */
	STAT_BATCHES_RETRIED,		/* sent again after an error or a lost connection */
	STAT_BATCHES_SPLIT,			/* halved to find a row that the server refuses */
	STAT_ROWS_SALVAGED,			/* such rows, sent to quarantine as malformed */
	STAT_ROWS_STUCK,			/* tries of a row that not even quarantine takes */
	STAT_CONNECTS,				/* database connections that came up */
	STAT_CONNECTION_LOST,		/* or could not be made */
	STAT_ORPHANS,				/* rows decided after their owner had gone */
	/* authentication */
	STAT_AUTH_OK,
	STAT_AUTH_DENIED,
	STAT_AUTH_CACHED,			/* answered without the database */
	STAT_AUTH_UNAVAILABLE,		/* no answer: database away or too many waiting */
	STAT_AUTH_CHECKS,			/* queries whether tokens and sources in use are still good */
	STAT_FAILURES_TOKEN,		/* attempts with a token that is not good */
	STAT_FAILURES_HANDSHAKE,	/* TLS handshakes that failed */
	STAT_AUTH_BLOCKED,			/* connections and requests refused for such failures */
	STAT_CRL_READS,				/* lists of revoked certificates read anew */
	STAT_CRL_FAILURES,			/* or not readable */
	/* clock */
	STAT_TICKS,
	STAT_TICKS_FAILED,
	/* configuration */
	STAT_RELOADS,
	STAT_RELOADS_FAILED,
	/* http */
	STAT_HTTP_200,
	STAT_HTTP_400,
	STAT_HTTP_401,
	STAT_HTTP_403,
	STAT_HTTP_404,
	STAT_HTTP_405,
	STAT_HTTP_413,
	STAT_HTTP_429,
	STAT_HTTP_503,
	STAT_HTTP_OTHER,
	/* brokers */
	STAT_BROKER_CONNECTS,		/* subscriptions that came up */
	STAT_BROKER_FAILURES,		/* connections lost, or not made */
	STAT_BROKER_MESSAGES,
	/* kafka, besides brokers */
	STAT_KAFKA_TOMBSTONES,
	STAT_KAFKA_REBALANCES,
	STAT_KAFKA_DROPPED,			/* in flight when their partition went */
	STAT_KAFKA_COMMITS,			/* of offsets */
	STAT_KAFKA_COMMITS_FAILED,
	STAT_KAFKA_ERRORS,
	/* vehicle identification numbers */
	STAT_VINS_REPLACED,			/* by pseudonyms */
	STAT_VINS_REFUSED,			/* records: there was no key */
	STAT_VINS_MASKED,			/* in raw bytes and defects */
	/* commands */
	STAT_COMMANDS_SENT,			/* written to a connection */
	STAT_COMMANDS_CONFIRMED,
	STAT_COMMANDS_FAILED,		/* the device said no */
	STAT_COMMANDS_UNSUPPORTED,	/* the protocol has no words for it */
	STAT_COMMANDS_UNANSWERED,	/* expired after it was written */
	STAT_COMMANDS_RELEASED,		/* taken and given back unwritten */
	STAT_COMMANDS_LEASED,		/* another daemon has just taken it */
	STAT_COMMAND_ANSWERS_STRAY, /* to nothing that waits for one */
	STAT_COMMAND_REPORTS_LOST,	/* that the database will not hear of */
	STAT_COMMAND_DEVICES_REFUSED,	/* at a limit */
	STAT_COMMAND_QUERIES_FAILED,
	STAT_LOG_SUPPRESSED,
	STAT_COUNTERS
} StatCounter;

typedef enum StatGauge
{
	/* connections by state, in the order of ConnState from CONN_TLS on */
	GAUGE_CONN_TLS,
	GAUGE_CONN_HELLO,
	GAUGE_CONN_CHECKING,
	GAUGE_CONN_OPEN,
	GAUGE_CONN_WAITING,
	GAUGE_CONN_STUFFED,
	GAUGE_CONN_SLOWED,
	GAUGE_CONN_DRAINING,
	GAUGE_CONN_CLOSING,
	GAUGE_CONN_LINGERING,
	GAUGE_DATABASE_UP,			/* sink connections that are up */
	GAUGE_DATABASE_CONNECTIONS, /* configured */
	GAUGE_QUEUE_ROWS,			/* not yet committed */
	GAUGE_QUEUE_BYTES,
	GAUGE_INPUT_BYTES,			/* unfinished frames */
	GAUGE_OUTPUT_BYTES,			/* answers not yet read by peers */
	GAUGE_DATAGRAMS,			/* not answered yet */
	GAUGE_HTTP_REQUESTS,		/* being served */
	GAUGE_HTTP_BODY_BYTES,		/* bodies not yet whole */
	GAUGE_BROKERS,				/* configured */
	GAUGE_BROKERS_UP,			/* subscribed */
	GAUGE_BROKER_UNACKED,		/* messages without PUBACK */
	GAUGE_KAFKA_PARTITIONS,
	GAUGE_KAFKA_LAG,			/* messages of them that are not settled */
	GAUGE_COMMANDS_UP,			/* 1: the database wakes us */
	GAUGE_COMMAND_DEVICES,		/* that may be sent commands */
	GAUGE_COMMANDS_IN_FLIGHT,	/* written and not answered */
	GAUGE_START_TIME,			/* Unix seconds */
	STAT_GAUGES
} StatGauge;

typedef enum StatHistogram
{
	HISTOGRAM_COMMIT_SECONDS,	/* from sending a batch to its commit */
	HISTOGRAM_BATCH_ROWS,
	STAT_HISTOGRAMS
} StatHistogram;

extern uint64_t stats_counters[STAT_COUNTERS];
extern double stats_gauges[STAT_GAUGES];

static inline void
stats_add(StatCounter counter, uint64_t n)
{
	stats_counters[counter] += n;
}

static inline void
stats_inc(StatCounter counter)
{
	stats_counters[counter]++;
}

static inline void
stats_gauge_set(StatGauge gauge, double value)
{
	stats_gauges[gauge] = value;
}

static inline void
stats_gauge_add(StatGauge gauge, double delta)
{
	stats_gauges[gauge] += delta;
}

/* The label of a counter that is one of several of its family, else "". */
extern const char *stats_label(StatCounter counter);

extern void stats_observe(StatHistogram histogram, double value);

/* Everything in Prometheus text format, version 0.0.4. */
extern void stats_write_prometheus(struct evbuffer *out);

#endif							/* SHIM_STATS_H */
