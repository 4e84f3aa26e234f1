/*
 * osmand.c
 *	  OsmAnd's protocol over HTTP, which phones speak: the service of the http
 *	  adapter with other requests; docs/protocols/osmand.md has the protocol.
 */
#include "adapter.h"
#include "http_conn.h"

static const HttpKind kind = {
	.name = "osmand",
	.begin = http_osmand_begin,
	.take = http_osmand_take,
	.outcome = http_osmand_outcome,
	.busy_status = 503
};

static void *
osmand_start(struct event_base *base, int fd, const ListenerConfig *config)
{
	return http_service_start(base, fd, config, &kind);
}

static const Service osmand_service = {
	.start = osmand_start,
	.drain = http_service_drain,
	.end_revoked = http_service_end_revoked,
	.busy = http_service_busy,
	.stop = http_service_stop
};

const Adapter adapter_osmand = {
	.name = "osmand",
	.help = "OsmAnd and other phones, by HTTP",
	.claims = true,
	.service = &osmand_service
};
