/*
 * topic.c
 *	  Patterns of MQTT topics that say where the vehicle stands in a topic.
 */
#include "topic.h"

#include <string.h>

#define VEHICLE "{vehicle}"

static bool
level_is(const char *level, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(level, word, len) == 0;
}

bool
topic_pattern_valid(const char *pattern)
{
	size_t		vehicles = 0;

	if (pattern[0] == '\0' || strlen(pattern) > TOPIC_MAX)
		return false;
	for (const char *level = pattern;;)
	{
		size_t		len = strcspn(level, "/");

		if (level_is(level, len, VEHICLE))
			vehicles++;
		else if (level_is(level, len, "#"))
		{
			if (level[len] != '\0')
				return false;
		}
		else if (!level_is(level, len, "+") &&
				 (memchr(level, '+', len) || memchr(level, '#', len) ||
				  memchr(level, '{', len) || memchr(level, '}', len)))
			return false;
		if (level[len] == '\0')
			return vehicles == 1;
		level += len + 1;
	}
}

bool
topic_match(const char *pattern, const char *topic, size_t len, Str *vehicle)
{
	const char *end = topic + len;

	*vehicle = (Str) {NULL, 0};
	for (;;)
	{
		size_t		wanted = strcspn(pattern, "/");
		const char *slash;
		size_t		got;

		if (level_is(pattern, wanted, "#"))
			return vehicle->len > 0;
		slash = memchr(topic, '/', (size_t) (end - topic));
		got = (size_t) ((slash != NULL ? slash : end) - topic);
		if (level_is(pattern, wanted, VEHICLE))
		{
			if (got == 0 || got > RECORD_DEVICE_MAX)
				return false;
			*vehicle = (Str) {topic, (uint32_t) got};
		}
		else if (!level_is(pattern, wanted, "+") &&
				 (got != wanted || memcmp(topic, pattern, got) != 0))
			return false;
		pattern += wanted;
		topic += got;
		if (*pattern == '\0' || topic == end)
			return topic == end && (*pattern == '\0' || strcmp(pattern, "/#") == 0);
		pattern++;
		topic++;
	}
}
