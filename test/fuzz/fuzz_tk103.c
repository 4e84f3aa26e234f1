/*
 * fuzz_tk103.c
 *	  Arbitrary bytes to the tk103 adapter.
 */
#define FUZZ_ADAPTER adapter_tk103
#include "fuzz_adapter.h"
