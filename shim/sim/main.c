/*
 * main.c
 *	  fleetsim: a fleet for testing; picks the subcommand.
 */
#include "commands.h"
#include "util.h"

#include <stdio.h>

static const struct
{
	const char *name;
	int			(*run) (int argc, char **argv);
	const char *help;
}			commands[] = {
	{"run", command_run, "drive a simulated fleet and send its reports"},
	{"replay", command_replay, "send recorded tracks: CSV or NDJSON, gzip or not"},
	{"blast", command_blast, "send pre-encoded reports as fast as they are taken"},
	{"verify", command_verify, "prove a ledger against the database"},
	{"watch", command_watch, "show live alerts and the rate of events"},
};

static void
print_help(void)
{
	puts("fleetsim drives a made-up or recorded fleet against fleetd and proves what arrived.\n\n"
		 "Usage: fleetsim COMMAND [OPTION]...\n\nCommands:");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].help);
	puts("\nfleetsim COMMAND --help tells the options.  docs/simulator.md tells more.");
}

int
main(int argc, char **argv)
{
	if (argc < 2)
	{
		print_help();
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
	{
		print_help();
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0)
	{
		puts("fleetsim " VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	die("no command \"%s\"; fleetsim --help lists them", argv[1]);
}
