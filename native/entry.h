// One entry of a layer compared with the same path of the host, and how it is
// packed for TypeScript (src/kernel/packed.ts decodes).
#pragma once

#include <cstdint>
#include <string>

#include "filestat.h"

namespace agentfw {

enum EntryFlag : uint32_t {
	HAS_BASE = 1,
	WHITEOUT = 2,
	OPAQUE = 4,
	COPIED_UP = 8,
	CONTENT_COMPARED = 0x10,
	SAME_CONTENT = 0x20,
	XATTRS_COMPARED = 0x40,
	SAME_XATTRS = 0x80,
	SAME_ACL = 0x100,
	HAS_TARGET = 0x200,
	HAS_REDIRECT = 0x400,
	DIRECTORY = 0x800,
};

struct RecordHead {
	uint32_t length; // of the whole record, a multiple of eight
	uint32_t flags;
	uint32_t depth; // 0 is the walked directory itself
	uint32_t nameLength, targetLength, redirectLength;
};
static_assert(sizeof(RecordHead) == 24, "packed.ts decodes six words");

enum class Unreadable { fail, skip, unlock };

struct WalkOptions {
	bool trusted; // the overlay's attributes are trusted.*, else user.*
	bool compare;
	Unreadable unreadable;
};

// A name below a directory fd.
struct Place {
	int at;
	const char *name;
};

struct Entry {
	uint32_t flags = 0;
	FileStat upper, base;
	std::string target, redirect;
	std::string xattrNames; // of the upper, each ended by a NUL
};

// Fills the entry from its place in the layer; 0, or -1 and errno (ENOENT:
// gone since it was listed).
int readUpper(const Place &place, const WalkOptions &options, Entry &entry);

// Adds what the host has at `place`. Nothing there is no error.
int readBase(const Place &place, Entry &entry);

// Contents and attributes of the two sides.
int compareSides(const Place &upper, const Place &base,
		 const WalkOptions &options, Entry &entry);

void packEntry(const Entry &entry, uint32_t depth, const char *name,
	       std::string &records);

} // namespace agentfw
