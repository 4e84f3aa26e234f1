/*
 * fuzz_wialon.c
 *	  The wialon adapter.
 */
#define FUZZ_ADAPTER adapter_wialon
#include "fuzz_adapter.h"
