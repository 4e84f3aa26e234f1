/*
 * conn_command.c
 *	  Commands down a connection, none of them after its time.
 *
 * Bytes that are handed to the kernel are out of our hands: it goes on sending
 * them, for a quarter of an hour, to a vehicle without coverage.  So it is told
 * how long it may (TCP_USER_TIMEOUT, which also holds when fleetd is killed), and
 * when the time has come and the peer has not acknowledged them, the
 * connection is cut off with what it holds.
 */
#include "conn_int.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "clock.h"
#include "log.h"

static void
set_user_timeout(Conn *conn, int64_t until_us)
{
	int64_t		ms = until_us > 0 ? (until_us - clock_us()) / 1000 : 0;
	unsigned	value = ms > INT32_MAX ? INT32_MAX : ms < 1 && until_us > 0 ? 1 : (unsigned) ms;

	setsockopt(conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value));
	conn->user_timeout_us = until_us;
}

/* Nothing was written. */
static CommandWrite
later(Conn *conn)
{
	buf_release(&conn->out);
	conn->command_until_us = 0;
	if (conn->commands.in_flight == 0 && conn->user_timeout_us > 0)
		set_user_timeout(conn, 0);
	return COMMAND_LATER;
}

static CommandWrite
on_write(void *arg, const Command *command, int64_t expires_us, const char **why)
{
	Conn	   *conn = arg;
	CommandStatus status;
	size_t		len;

	/* Behind answers that the peer does not read it might wait for long. */
	if ((conn->state != CONN_OPEN && conn->state != CONN_WAITING && conn->state != CONN_SLOWED) ||
		buf_len(&conn->out) > 0 || !conn->session.takes_commands)
		return COMMAND_LATER;
	status = conn->adapter->command(&conn->session, command, why, &conn->out);
	if (status != COMMAND_WRITTEN)
	{
		buf_release(&conn->out);
		return status == COMMAND_UNSUPPORTED ? COMMAND_REFUSED : COMMAND_LATER;
	}
	if (conn->user_timeout_us == 0 || expires_us < conn->user_timeout_us)
		set_user_timeout(conn, expires_us);
	/* The last look at the clock; encoding took some of it. */
	if (clock_us() >= expires_us)
		return later(conn);
	conn->command_until_us = expires_us;
	len = buf_len(&conn->out);
	conn_flush(conn);
	if (conn->state <= CONN_JUSTFREE)
		return COMMAND_GONE;
	/* TLS may hold on to what it could not write, and wants it again. */
	if (conn->ssl == NULL && buf_len(&conn->out) == len)
	{
		CommandWrite result = later(conn);

		conn_flush(conn);
		return conn->state <= CONN_JUSTFREE ? COMMAND_GONE : result;
	}
	return COMMAND_SENT;
}

bool
conn_command_overdue(Conn *conn)
{
	if (conn->command_until_us == 0 || buf_len(&conn->out) == 0 || clock_us() < conn->command_until_us)
		return false;
	conn->command_until_us = 0;
	conn_close(conn, STAT_CLOSED_COMMAND, "expired unwritten");
	return true;
}

/* Unanswered in its time.  Has the peer's side got it at all? */
static void
on_expired(void *arg)
{
	Conn	   *conn = arg;
	struct linger none = {1, 0};
	int			unsent = 0;

	if (conn->state <= CONN_JUSTFREE || conn_command_overdue(conn))
		return;
	if (ioctl(conn->fd, SIOCOUTQ, &unsent) != 0 || unsent == 0)
		return;
	/* Closed so, the kernel throws away what it has. */
	setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	conn_close(conn, STAT_CLOSED_COMMAND, "expired on its way");
}

static void
on_settled(void *arg)
{
	Conn	   *conn = arg;

	if (conn->user_timeout_us > 0)
		set_user_timeout(conn, 0);
}

static const CommandOwnerOps ops = {.write = on_write,.expired = on_expired,.settled = on_settled};

void
conn_commands_begin(Conn *conn)
{
	conn->commands.ops = &ops;
	conn->commands.arg = conn;
	conn->commands.opened_us = conn->opened_us;
}

void
conn_commands_look(Conn *conn)
{
	const Session *session = &conn->session;

	if (conn->state != CONN_OPEN || conn->adapter->command == NULL)
		return;
	if (!session->takes_commands)
		command_detach(&conn->commands);
	else if (session->device[0] != '\0' && conn->commands.peers == NULL)
		command_attach(&conn->commands, conn->source_id,
					   (Str) {session->device, (uint32_t) strlen(session->device)});
}

void
conn_on_answer(void *arg, const Answer *answer)
{
	Conn	   *conn = arg;

	command_answer(&conn->commands, conn->source_id, answer);
}
