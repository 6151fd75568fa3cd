// The lines of `diff --stat`: very many are alike but for name and numbers,
// and a string for each of them would cost JavaScript more than the walk.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "addon.h"
#include "entry.h"
#include "value.h"

namespace agentfw {

// As MOST_WIDE of src/ui/table.ts.
static const size_t MOST_WIDE = 200;

struct Line {
	uint32_t rank, order; // first and last of what it is sorted by
	std::string_view path; // between them; bytes
	std::string_view letter, name, tail;
	size_t width; // of the name, as JavaScript counts
};

// What stands before and behind a number.
struct Paint {
	std::string added, addedEnd, removed, removedEnd;
};

typedef std::vector<std::string_view> Cells;

static Cells cellsOf(const std::string &packed)
{
	Cells cells;
	for (size_t from = 0, to; (to = packed.find('\0', from)) != packed.npos; from = to + 1)
		cells.push_back(std::string_view(packed).substr(from, to - from));
	return cells;
}

// Lines that JavaScript made: rank, order and width in `words`, and as many
// paths and triples of cells.
static void addSingles(const uint32_t *words, const Cells &paths,
		       const Cells &cells, std::vector<Line> &lines)
{
	for (size_t i = 0; i < paths.size(); i++)
		lines.push_back({ words[3 * i], words[3 * i + 1], paths[i],
				  cells[3 * i], cells[3 * i + 1],
				  cells[3 * i + 2], words[3 * i + 2] });
}

static std::string amountOf(const RecordHead &head, const Paint &paint)
{
	std::string text;
	if (head.added)
		text = paint.added + "+" + std::to_string(head.added) + paint.addedEnd;
	if (head.added && head.removed)
		text += ' ';
	if (head.removed)
		text += paint.removed + "-" + std::to_string(head.removed) +
			paint.removedEnd;
	return text;
}

struct Crowd {
	uint32_t rank, order;
	std::string letter, dir, notes; // dir ends in a slash
	const char *records;
	std::vector<uint32_t> at;
	std::string text; // paths and tails of its lines
};

static const char *nameIn(const RecordHead *head)
{
	size_t stats = head->flags & HAS_BASE ? 2 : 1;
	return (const char *)(head + 1) + stats * sizeof(FileStat);
}

static void addCrowd(Crowd &crowd, const Paint &paint, std::vector<Line> &lines)
{
	std::vector<size_t> ends;
	for (uint32_t at : crowd.at) {
		auto *head = (const RecordHead *)(crowd.records + at);
		crowd.text.append(crowd.dir).append(nameIn(head), head->nameLength);
		ends.push_back(crowd.text.size());
		std::string tail = amountOf(*head, paint) + crowd.notes;
		size_t from = tail.find_first_not_of(' ');
		crowd.text.append(from == tail.npos ? "" : tail.substr(from));
		ends.push_back(crowd.text.size());
	}
	std::string_view text = crowd.text;
	for (size_t i = 0, from = 0; i < ends.size(); from = ends[i + 1], i += 2) {
		std::string_view path = text.substr(from, ends[i] - from);
		lines.push_back({ crowd.rank, crowd.order, path, crowd.letter, path,
				  text.substr(ends[i], ends[i + 1] - ends[i]),
				  path.size() });
	}
}

static bool isBefore(const Line &a, const Line &b)
{
	if (a.rank != b.rank)
		return a.rank < b.rank;
	int paths = a.path.compare(b.path);
	return paths ? paths < 0 : a.order < b.order;
}

// As `table` of src/ui/table.ts: columns two blanks apart, none at the end.
static std::string written(std::vector<Line> &lines)
{
	if (!std::is_sorted(lines.begin(), lines.end(), isBefore))
		std::stable_sort(lines.begin(), lines.end(), isBefore);
	size_t width = 0;
	for (const Line &line : lines)
		if (line.width <= MOST_WIDE)
			width = std::max(width, line.width);
	std::string out;
	for (const Line &line : lines) {
		out.append(line.letter).append("  ").append(line.name);
		if (line.tail.empty())
			out.erase(out.find_last_not_of(' ') + 1);
		else
			out.append(std::max(width, line.width) - line.width + 2, ' ').append(line.tail);
		out += '\n';
	}
	return out;
}

static std::string textArg(const Napi::Value &value)
{
	return value.As<Napi::String>().Utf8Value();
}

static Crowd crowdArg(const Napi::Object &object)
{
	Crowd crowd;
	crowd.rank = object.Get("rank").As<Napi::Number>();
	crowd.order = object.Get("order").As<Napi::Number>();
	crowd.letter = textArg(object.Get("letter"));
	crowd.dir = textArg(object.Get("dir"));
	crowd.notes = textArg(object.Get("notes"));
	crowd.records = (const char *)object.Get("memory").As<Napi::ArrayBuffer>().Data();
	auto at = object.Get("at").As<Napi::Uint32Array>();
	crowd.at.assign(at.Data(), at.Data() + at.ElementLength());
	return crowd;
}

// (words, paths, cells, crowds, and the four of Paint): the text as UTF-8.
static Napi::Value StatLines(const Napi::CallbackInfo &info)
{
	std::string paths = bytesArg(info, 1), cells = textArg(info[2]);
	Paint paint = { textArg(info[4]), textArg(info[5]), textArg(info[6]),
			textArg(info[7]) };
	auto given = info[3].As<Napi::Array>();
	std::vector<Crowd> crowds;
	for (uint32_t i = 0; i < given.Length(); i++)
		crowds.push_back(crowdArg(given.Get(i).As<Napi::Object>()));
	std::vector<Line> lines;
	addSingles(info[0].As<Napi::Uint32Array>().Data(), cellsOf(paths),
		   cellsOf(cells), lines);
	for (Crowd &crowd : crowds)
		addCrowd(crowd, paint, lines);
	std::string out = written(lines);
	return Napi::Buffer<char>::Copy(info.Env(), out.data(), out.size());
}

void exportListing(Napi::Env env, Napi::Object exports)
{
	exports.Set("statLines", Napi::Function::New<StatLines>(env));
}

} // namespace agentfw
