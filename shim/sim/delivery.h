/*
 * delivery.h
 *	  Client and ledger together, and the options that every sending subcommand
 *	  shares.
 */
#ifndef SIM_DELIVERY_H
#define SIM_DELIVERY_H

#include "client.h"
#include "ledger.h"

typedef struct DeliveryOptions
{
	ClientOptions client;
	const char *ledger;			/* file, or NULL */
	double		drain_s;		/* how long to wait for the last acknowledgements */
	bool		quiet;
} DeliveryOptions;

#define DELIVERY_DEFAULTS { \
	.client = {.protocol = "json", .address = "127.0.0.1:7001", .connections = 2, .http_batch = 500, .records = 10}, \
	.drain_s = 60 }

/* For getopt_long: values of the shared long options start here. */
#define DELIVERY_OPTION_FIRST 1000
#define DELIVERY_LONG_OPTIONS \
	{"to", required_argument, NULL, 1000}, \
	{"protocol", required_argument, NULL, 1001}, \
	{"token", required_argument, NULL, 1002}, \
	{"token-file", required_argument, NULL, 1003}, \
	{"mapping", required_argument, NULL, 1004}, \
	{"tls", no_argument, NULL, 1005}, \
	{"ca", required_argument, NULL, 1006}, \
	{"connections", required_argument, NULL, 1007}, \
	{"http-batch", required_argument, NULL, 1008}, \
	{"gzip", no_argument, NULL, 1009}, \
	{"ledger", required_argument, NULL, 1010}, \
	{"drain", required_argument, NULL, 1011}, \
	{"quiet", no_argument, NULL, 1012}, \
	{"records", required_argument, NULL, 1013}, \
	{"authority", required_argument, NULL, 1014}, \
	{"commands", no_argument, NULL, 1015}

extern const char delivery_help[];
/* Takes a shared option; false when it is none. */
extern bool delivery_option(DeliveryOptions *o, int option, const char *value);

typedef struct Delivery
{
	Client	   *client;
	Ledger	   *ledger;
	double		drain_s;
	bool		quiet;
	int64_t		started_us;		/* monotonic */
} Delivery;

extern Delivery *delivery_open(const DeliveryOptions *o);
/* Queues a line; serves the connections while there is no room.  False: stopped, nothing queued. */
extern bool delivery_send(Delivery *d, unsigned lane_key, const char *device, int64_t time_us,
						  uint64_t content, const char *line, size_t len);
/* Serves the connections until that moment of the monotonic clock. */
extern void delivery_serve_until(Delivery *d, int64_t until_us);
/* Waits for what is outstanding, prints the figures, returns the exit code. */
extern int	delivery_close(Delivery *d);

#endif							/* SIM_DELIVERY_H */
