#include "keys.h"

enum {
	REQUEST_IDENTITIES = 11,
	SIGN_REQUEST = 13,
	EXTENSION = 27, /* ssh tells the agent of its session by one */
};

static bool is_use(uint8_t type)
{
	return type == REQUEST_IDENTITIES || type == SIGN_REQUEST ||
	       type == EXTENSION;
}

bool keys_allow(struct keys *k, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n;) {
		if (k->left > 0) {
			size_t part = n - i < k->left ? n - i : k->left;

			k->left -= (uint32_t)part;
			i += part;
		} else if (k->read < sizeof(k->length)) {
			k->length = k->length << 8 | (uint8_t)bytes[i++];
			k->read++;
		} else {
			/* Without a type it says nothing that is known. */
			if (k->length == 0 || !is_use((uint8_t)bytes[i++]))
				return false;
			k->left = k->length - 1;
			k->read = 0;
			k->length = 0;
		}
	}
	return true;
}
