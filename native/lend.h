// Permissions of one's own that an object lacks, lent for one call.
#pragma once

#include <sys/types.h>

namespace agentfw {

// An agent can take its own permissions off a file (chmod 000), and programs do
// so (read-only module caches). Its owner may still look at its attributes and
// clean it: the mode is widened for the moment. After a crash in that moment the
// owner's bits stay; nothing else is lost.
class Lent {
    public:
	// Gives the owner `bits`, if the object is the caller's and lacks some.
	Lent(int at, const char *name, mode_t bits);
	~Lent();
	Lent(const Lent &) = delete;
	Lent &operator=(const Lent &) = delete;

	bool given() const { return given_; }

	// O_PATH of the object, -1 when it couldn't be opened.
	int fd() const { return fd_; }

    private:
	int fd_;
	mode_t mode_ = 0;
	bool given_ = false;
};

} // namespace agentfw
