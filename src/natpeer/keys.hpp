// Where a topic's secret key comes from. Never from the command line, which every user of the machine can read.
#pragma once

#include "nat/topic_keys.hpp"

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace natpeer {

/// What was asked for cannot be: said in one line, exit status 2.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The key of --key-file, NATPEER_KEY or NATPEER_PASSPHRASE; none where none is given. Takes the two variables out of
/// the environment, so that no child and no later reader of it finds them. `topic` salts the passphrase. Throws
/// `usage_error` where two are given, one is given but empty, or a variable holds no key; `std::runtime_error` where
/// the file cannot be used: unreadable, open to other users, or without a key.
std::optional<nat::secret_key> read_key(const std::optional<std::string>& key_file, std::string_view topic);

/// `natpeer keygen`: 32 random bytes in base64 and a newline on stdout. The exit status.
int run_keygen();

}  // namespace natpeer
