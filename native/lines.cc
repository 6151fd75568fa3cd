#include "lines.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace agentfw {

// As MOST_EDITS of src/render/text-diff.ts.
static const int64_t MOST_EDITS = 1500;

typedef std::vector<std::string_view> Lines;

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
static int64_t distance(const Lines &a, const Lines &b)
{
	const int64_t n = a.size(), m = b.size();
	const int64_t most = std::min(n + m, MOST_EDITS);
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

LineCounts countLines(std::string_view before, std::string_view after)
{
	trim(before, after);
	uint32_t old = numberOf(before), fresh = numberOf(after);
	LineCounts whole = { fresh, old };
	// One line each: they differ, or they would have been cut.
	if (old == 0 || fresh == 0 || (old == 1 && fresh == 1))
		return whole;
	int64_t edits = distance(split(before), split(after));
	if (edits < 0)
		return whole;
	// added - removed is known, added + removed is the length of the edit.
	int64_t more = (int64_t)fresh - (int64_t)old;
	return { (uint32_t)((edits + more) / 2), (uint32_t)((edits - more) / 2) };
}

} // namespace agentfw
