// One entry of a layer compared with the same path of the host, and how it is
// packed for TypeScript (src/kernel/packed.ts decodes).
#pragma once

#include <cstdint>
#include <string>

#include "filestat.h"
#include "lines.h"

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
	// Of what lookInside saw:
	LOOKED = 0x1000, // the first bytes of the upper
	HAS_NUL = 0x2000, // among them
	BASE_TEXT = 0x4000, // the base was looked at too, and has none
	COUNTED = 0x8000, // lines
	BINARY = 0x10000, // or too long or unreadable: no lines
	NO_ATTRIBUTES = 0x20000, // the upper has none at all
	ORDINARY = 0x40000, // no rule can be about its name
	ORIGIN_ONLY = 0x80000, // the upper's one attribute is the origin mark
	PROGRAM = 0x100000, // times a Program, of three bits
	// A regular file with one name that came, went or has other content,
	// with nothing else to say of it.
	USUAL = 0x800000,
	// Usual, and neither it nor its base give anybody anything to judge
	// (usual.h).
	HARMLESS = 0x1000000,
	CAPABLE = 0x2000000, // the upper has file capabilities
};

enum Program : uint32_t { ELF = 1, MACH_O, PE, SCRIPT };

struct RecordHead {
	uint32_t length; // of the whole record, a multiple of eight
	uint32_t flags;
	uint32_t depth; // 0 is the walked directory itself
	// The target's place is the origin mark's when there is ORIGIN_ONLY.
	uint32_t nameLength, targetLength, redirectLength;
	uint32_t added, removed; // lines, when COUNTED and not BINARY
};
static_assert(sizeof(RecordHead) == 32, "packed.ts decodes eight words");

enum class Unreadable { fail, skip, unlock };
enum class Look { no, head, lines };

struct WalkOptions {
	bool trusted; // the overlay's attributes are trusted.*, else user.*
	bool compare;
	Unreadable unreadable;
	Look look;
	bool origins; // the value of the origin mark, see ORIGIN_ONLY
	int64_t before; // a base with this ctime or a later one isn't harmless
};

// A name below a directory fd.
struct Place {
	int at;
	const char *name;
};

struct Entry {
	uint32_t flags = 0;
	FileStat upper, base;
	std::string target, redirect, origin;
	std::string xattrNames; // of the upper, each ended by a NUL
	LineCounts lines;
};

// For content. Neither waits for the other end of a FIFO. -1 and errno.
int openToRead(const Place &place);
int openUpper(const Place &place, const WalkOptions &options,
	      const FileStat &stat);

// Fills the entry from its place in the layer; 0, or -1 and errno (ENOENT:
// gone since it was listed).
int readUpper(const Place &place, const WalkOptions &options, Entry &entry);

// Adds what the host has at `place`. Nothing there is no error.
int readBase(const Place &place, Entry &entry);

// Contents and attributes of the two sides.
int compareSides(const Place &upper, const Place &base,
		 const WalkOptions &options, Entry &entry);

// Appends one record; src/kernel/packed.ts reads it.
void packEntry(const Entry &entry, uint32_t depth, const char *name,
	       std::string &records);

} // namespace agentfw
