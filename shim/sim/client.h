/*
 * client.h
 *	  Devices as the daemon sees them: connections that send lines, wait for
 *	  acknowledgements, and after a lost connection send again what had none.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "authority.h"
#include "channel.h"
#include "dialect.h"
#include "outbox.h"
#include "rng.h"

typedef struct ClientOptions
{
	const char *protocol;		/* "json", "http", "mqtt", or a dialect */
	const char *address;		/* HOST:PORT */
	const char *token;
	const char *mapping;		/* NULL: the daemon's default */
	bool		commands;		/* json: take commands, and confirm them */
	bool		tls;
	const char *ca;				/* file of certificates, NULL: accept any */
	const char *authority;		/* file of who signs the cars' certificates, or NULL */
	int			connections;
	int			http_batch;		/* documents in one request */
	bool		http_gzip;
	int			records;		/* of a tracker, in one packet */
	double		spoil_percent;	/* of its packets: damaged on the way */
} ClientOptions;

/* Every line that was sent ends in exactly one of these calls, or in none. */
typedef struct ClientEvents
{
	void		(*acked) (void *context, uint64_t id);
	/* Stored or in quarantine: the protocol does not tell which. */
	void		(*taken) (void *context, uint64_t id);
	/* field may be NULL */
	void		(*rejected) (void *context, uint64_t id, const char *code, const char *field);
	void	   *context;
} ClientEvents;

typedef enum LaneState
{
	LANE_WAITING,				/* no connection until retry_at */
	LANE_CONNECTING,			/* TCP and TLS */
	LANE_GREETING,				/* credentials sent, not confirmed */
	LANE_READY					/* documents flow */
} LaneState;

typedef struct Client Client;

/* One connection.  A device stays on its lane, so its order holds. */
typedef struct Lane
{
	Client	   *client;
	int			number;
	LaneState	state;
	Channel		channel;
	Outbox		outbox;
	Buffer		control;		/* to be written before the outbox */
	size_t		control_offset;
	bool		in_line;		/* the outbox stopped in the middle of one */
	Buffer		input;
	int64_t		retry_at_us;	/* monotonic */
	int			failures;		/* in a row */
	uint64_t	decided;		/* lines the daemon has decided on this connection */
	size_t		in_request;		/* http, mqtt, trackers: entries under way */
	char		device[MESSAGE_DEVICE_SIZE];	/* trackers: whose connection it is */
	bool		spoiled;		/* trackers: the packet under way is damaged */
	uint32_t	mark;			/* trackers: what its answer has to repeat */
	bool		answered;		/* trackers: it will be answered */
} Lane;

/* A protocol is a row of functions; see client_json.c, client_http.c and client_tracker.c. */
typedef struct Protocol
{
	const char *name;
	bool		streams;		/* the outbox is written as it is */
	/* A connection begins: what TLS needs to know of the lane; or NULL. */
	void		(*connecting) (Lane *lane);
	/* The connection stands: put the greeting into lane->control. */
	void		(*opened) (Lane *lane);
	/* Whatever else can be put into lane->control now. */
	void		(*produce) (Lane *lane);
	/* Consume what it can of lane->input; false closes, *reason tells. */
	bool		(*receive) (Lane *lane, const char **reason);
} Protocol;

struct Client
{
	ClientOptions options;
	ClientEvents events;
	const Protocol *protocol;
	const Dialect *dialect;		/* NULL: documents */
	Rng			rng;
	SSL_CTX    *tls;
	Authority  *authority;		/* NULL: none */
	char	   *host;
	char	   *port;
	Lane	   *lanes;
	struct pollfd *polls;
	uint64_t	reconnects;
};

extern const Protocol protocol_json;
extern const Protocol protocol_http;
extern const Protocol protocol_mqtt;
extern const Protocol protocol_tracker;
extern const Protocol protocol_tesla;

extern Client *client_open(const ClientOptions *options, const ClientEvents *events);
extern bool client_has_room(const Client *c, int lane);
/* device may be NULL where the protocol needs none. */
extern void client_send(Client *c, int lane, const char *device, uint64_t id, const char *line, size_t len);
/* One round of waiting, reading and writing. */
extern void client_turn(Client *c, int timeout_ms);
extern size_t client_unacked(const Client *c);
extern void client_close(Client *c);

/* For protocols. */
extern void lane_set_state(Lane *lane, LaneState state);
extern void lane_retry(Lane *lane, int64_t delay_us, const char *reason);

#endif							/* SIM_CLIENT_H */
