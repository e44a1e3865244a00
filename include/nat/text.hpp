// Text that came from strangers: checked, escaped for JSON, made safe for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace nat {

/// Well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// Has a C0 or C1 control character or DEL. `text` is UTF-8.
bool has_control_character(std::string_view text);

/// The largest cut <= `limit` that does not split a UTF-8 sequence of `text`; `limit` itself where the bytes there are
/// no UTF-8.
std::size_t utf8_cut(std::string_view text, std::size_t limit);

/// Appends `text` so that a terminal shows it and does nothing else: control characters, bidirectional overrides and
/// bytes that are no UTF-8 become `\n`, `\x1b`, `\u{202e}`: no byte of `text` makes more than four.
void append_visible(std::string& out, std::string_view text);
std::string visible(std::string_view text);

/// Appends `text`, which is UTF-8, as a JSON string with its quotes (RFC 8259, 7). What a terminal would act on is
/// escaped.
void append_json_string(std::string& out, std::string_view text);
/// The same without the quotes: a string can be written in parts that are each UTF-8.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace nat
