/*
 * commands.h
 *	  The subcommands: each takes its own argv and returns the exit code.
 */
#ifndef SIM_COMMANDS_H
#define SIM_COMMANDS_H

extern int	command_run(int argc, char **argv);
extern int	command_blast(int argc, char **argv);
extern int	command_replay(int argc, char **argv);
extern int	command_verify(int argc, char **argv);
extern int	command_watch(int argc, char **argv);

#endif							/* SIM_COMMANDS_H */
