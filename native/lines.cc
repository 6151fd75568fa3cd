#include "lines.h"

#include <sys/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <vector>

namespace agentfw {

// As MOST_EDITS of src/render/text-diff.ts.
static const int64_t MOST_EDITS = 1500;

typedef std::vector<std::string_view> Lines;

// Lines of both texts.
struct Piece {
	int64_t a, aEnd, b, bEnd;
};

static size_t numberOf(std::string_view text)
{
	size_t lines = std::count(text.begin(), text.end(), '\n');
	return lines + (!text.empty() && text.back() != '\n');
}

static Lines split(std::string_view text)
{
	Lines lines;
	for (size_t at = 0; at < text.size();) {
		size_t end = text.find('\n', at);
		size_t next = end == text.npos ? text.size() : end + 1;
		lines.push_back(text.substr(at, next - at));
		at = next;
	}
	return lines;
}

// Cuts the lines that both begin with and those that both end with.
static void trim(std::string_view &a, std::string_view &b)
{
	size_t most = std::min(a.size(), b.size());
	size_t head = std::mismatch(a.begin(), a.begin() + most, b.begin()).first -
		      a.begin();
	// A last line without an end is another line than one with it.
	if (head < a.size() || head < b.size()) {
		size_t newline = head ? a.rfind('\n', head - 1) : a.npos;
		head = newline == a.npos ? 0 : newline + 1;
	}
	a.remove_prefix(head);
	b.remove_prefix(head);
	most = std::min(a.size(), b.size());
	size_t tail = std::mismatch(a.rbegin(), a.rbegin() + most, b.rbegin())
			      .first - a.rbegin();
	bool whole = (tail == a.size() || a[a.size() - tail - 1] == '\n') &&
		     (tail == b.size() || b[b.size() - tail - 1] == '\n');
	if (!whole) {
		size_t newline = a.find('\n', a.size() - tail);
		tail = newline == a.npos ? 0 : a.size() - newline - 1;
	}
	a.remove_suffix(tail);
	b.remove_suffix(tail);
}

// Myers' greedy search for the length of a shortest edit; -1 beyond the limit.
static int64_t distance(const std::string_view *a, int64_t n,
			const std::string_view *b, int64_t m, int64_t limit)
{
	const int64_t most = std::min(n + m, limit);
	std::vector<int64_t> reach(2 * most + 3, 0);
	int64_t *x = reach.data() + most + 1; // by diagonal
	for (int64_t edits = 0; edits <= most; edits++) {
		for (int64_t k = -edits; k <= edits; k += 2) {
			bool down = k == -edits || (k != edits && x[k - 1] < x[k + 1]);
			int64_t at = down ? x[k + 1] : x[k - 1] + 1;
			while (at < n && at - k < m && a[at] == b[at - k])
				at++;
			x[k] = at;
			if (at >= n && at - k >= m)
				return edits;
		}
	}
	return -1;
}

// Keyed: an agent could write lines that all have the same hash in libstdc++,
// and a search among those takes minutes.
struct LineHash {
	size_t operator()(std::string_view line) const
	{
		static const Key key;
		uint64_t hash = key.start ^ line.size();
		for (; line.size() > 8; line.remove_prefix(8))
			hash = mixed(hash ^ wordOf(line, 8), key.factor);
		return mixed(hash ^ wordOf(line, line.size()), key.factor);
	}

    private:
	struct Key {
		uint64_t start = 0, factor = 0x9e3779b97f4a7c15;
		Key()
		{
			(void)!getrandom(this, sizeof *this, GRND_NONBLOCK);
			factor |= 1;
		}
	};

	static uint64_t wordOf(std::string_view line, size_t bytes)
	{
		uint64_t word = 0;
		memcpy(&word, line.data(), bytes);
		return word;
	}

	// Both halves of the product: nobody can say without the key which bits
	// of it a bit changes.
	static uint64_t mixed(uint64_t a, uint64_t b)
	{
		unsigned __int128 product = (unsigned __int128)a * b;
		return (uint64_t)product ^ (uint64_t)(product >> 64);
	}
};

typedef std::unordered_map<std::string_view, int64_t, LineHash> Places;

// By line where it is; -1 for one that comes again.
static Places onceIn(const Lines &lines)
{
	Places places;
	places.reserve(lines.size());
	for (size_t at = 0; at < lines.size(); at++) {
		auto [found, isNew] = places.emplace(lines[at], at);
		if (!isNew)
			found->second = -1;
	}
	return places;
}

// As src/render/anchors.ts: lines that are in both once, in the same order.
static std::vector<Piece> anchorsOf(const Lines &a, const Lines &b)
{
	auto inA = onceIn(a), inB = onceIn(b);
	std::vector<Piece> pairs;
	for (size_t at = 0; at < a.size(); at++) {
		if (inA[a[at]] < 0)
			continue;
		auto other = inB.find(a[at]);
		if (other != inB.end() && other->second >= 0)
			pairs.push_back({ (int64_t)at, 0, other->second, 0 });
	}
	std::vector<size_t> tops;
	std::vector<int64_t> before;
	for (size_t i = 0; i < pairs.size(); i++) {
		auto top = std::lower_bound(tops.begin(), tops.end(), pairs[i].b,
					    [&](size_t index, int64_t at) { return pairs[index].b < at; });
		before.push_back(top == tops.begin() ? -1 : (int64_t)*(top - 1));
		if (top == tops.end())
			tops.push_back(i);
		else
			*top = i;
	}
	std::vector<Piece> rise;
	for (int64_t at = tops.empty() ? -1 : (int64_t)tops.back(); at >= 0; at = before[at])
		rise.push_back(pairs[at]);
	std::reverse(rise.begin(), rise.end());
	return rise;
}

// The lines of an edit that leaves the anchors, found at a bounded cost.
static int64_t between(const Lines &a, const Lines &b)
{
	int64_t left = MOST_EDITS * MOST_EDITS, edits = 0;
	Piece piece = { 0, 0, 0, 0 };
	std::vector<Piece> anchors = anchorsOf(a, b);
	anchors.push_back({ (int64_t)a.size(), 0, (int64_t)b.size(), 0 });
	for (const Piece &anchor : anchors) {
		piece.aEnd = anchor.a;
		piece.bEnd = anchor.b;
		while (piece.a < piece.aEnd && piece.b < piece.bEnd && a[piece.a] == b[piece.b])
			piece.a++, piece.b++;
		while (piece.a < piece.aEnd && piece.b < piece.bEnd && a[piece.aEnd - 1] == b[piece.bEnd - 1])
			piece.aEnd--, piece.bEnd--;
		int64_t n = piece.aEnd - piece.a, m = piece.bEnd - piece.b;
		if (n == 0 || m == 0 || (n == 1 && m == 1)) {
			edits += n + m;
		} else {
			int64_t most = (int64_t)std::sqrt((double)left);
			int64_t found = distance(&a[piece.a], n, &b[piece.b], m, most);
			int64_t cost = found < 0 ? most : found;
			left -= cost * cost;
			edits += found < 0 ? n + m : found;
		}
		piece.a = anchor.a + 1;
		piece.b = anchor.b + 1;
	}
	return edits;
}

LineCounts countLines(std::string_view before, std::string_view after)
{
	trim(before, after);
	uint32_t old = numberOf(before), fresh = numberOf(after);
	LineCounts whole = { fresh, old };
	// One line each: they differ, or they would have been cut.
	if (old == 0 || fresh == 0 || (old == 1 && fresh == 1))
		return whole;
	Lines a = split(before), b = split(after);
	int64_t edits = distance(a.data(), a.size(), b.data(), b.size(), MOST_EDITS);
	if (edits < 0)
		edits = between(a, b);
	// added - removed is known, added + removed is the length of the edit.
	int64_t more = (int64_t)fresh - (int64_t)old;
	return { (uint32_t)((edits + more) / 2), (uint32_t)((edits - more) / 2) };
}

} // namespace agentfw
