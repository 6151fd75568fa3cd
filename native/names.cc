#include "names.h"

#include <climits>
#include <cstring>

namespace agentfw {

bool NameFilter::mayMatch(const char *name, size_t length) const
{
	char lower[NAME_MAX + 1];
	if (length > NAME_MAX)
		return true;
	const char *dot = nullptr;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = name[i];
		if (c >= 0x80)
			return true;
		lower[i] = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
		if (c == '.')
			dot = lower + i;
	}
	lower[length] = '\0';
	if (literals.count(std::string(lower, length)))
		return true;
	if (dot && endings.count(std::string(dot, lower + length - dot)))
		return true;
	for (const std::string &piece : pieces)
		if (strstr(lower, piece.c_str()))
			return true;
	return false;
}

bool NameFilter::isOrdinary(const char *name) const
{
	size_t length = 0;
	for (; name[length]; length++)
		if (name[length] < 0x20 || name[length] > 0x7e)
			return false;
	return !mayMatch(name, length);
}

} // namespace agentfw
