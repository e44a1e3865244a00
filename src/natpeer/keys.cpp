#include "keys.hpp"

#include "nat/text.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <utility>

#include <sodium.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace natpeer {
namespace {

// Where one of these is set but empty, a script has made a mistake; it must not lead to the open topic of the same
// name.
constexpr char key_variable[] = "NATPEER_KEY";
constexpr char passphrase_variable[] = "NATPEER_PASSPHRASE";
constexpr std::size_t max_key_file = 256;  // bytes; 44 characters and white space around them

std::string shown(std::string_view text) { return '"' + nat::visible(text) + '"'; }

/// Text that is wiped at its end.
class secret_text {
 public:
  explicit secret_text(std::string_view text) : text_(text) {}
  ~secret_text() { ::sodium_memzero(text_.data(), text_.size()); }
  secret_text(const secret_text&) = delete;
  secret_text& operator=(const secret_text&) = delete;

  std::string_view view() const { return text_; }

 private:
  std::string text_;
};

/// Moves a variable out of the environment: its bytes are wiped there, and it is unset.
std::unique_ptr<secret_text> take_variable(const char* name) {
  char* value = std::getenv(name);
  if (value == nullptr) return nullptr;
  auto taken = std::make_unique<secret_text>(value);
  ::sodium_memzero(value, taken->view().size());
  ::unsetenv(name);
  return taken;
}

class file {
 public:
  explicit file(const std::string& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)) {}
  ~file() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  file(const file&) = delete;
  file& operator=(const file&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

nat::secret_key read_file(const std::string& path) {
  if (path.empty()) throw usage_error("--key-file is empty");
  if (path == "-") throw usage_error("--key-file: not from stdin, which is the data's");
  const auto about = "--key-file: " + shown(path);
  const auto fail = [&] { throw std::runtime_error(about + ": " + std::strerror(errno)); };
  const file opened(path);
  struct stat status {};
  if (opened.descriptor() < 0 || ::fstat(opened.descriptor(), &status) != 0) fail();
  if (S_ISDIR(status.st_mode) || S_ISCHR(status.st_mode)) throw std::runtime_error(about + " is no file");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    throw std::runtime_error(about + " is open to other users; chmod 600 it");

  std::array<char, max_key_file + 1> bytes;
  std::size_t size = 0;
  for (;;) {
    const auto count = ::read(opened.descriptor(), bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail();
    size += static_cast<std::size_t>(count);
    if (count == 0 || size == bytes.size()) break;
  }
  auto key = nat::secret_key::parse({bytes.data(), size});
  ::sodium_memzero(bytes.data(), bytes.size());
  if (!key) throw std::runtime_error(about + " holds no key: 32 bytes in base64, as natpeer keygen prints them");
  return std::move(*key);
}

nat::secret_key read_variable(const secret_text& text) {
  auto key = nat::secret_key::parse(text.view());
  if (!key)
    throw usage_error(std::string(key_variable) + " is no key: 32 bytes in base64, as natpeer keygen prints them");
  return std::move(*key);
}

nat::secret_key stretch(const secret_text& phrase, std::string_view topic) {
  if (phrase.view().empty()) throw usage_error(std::string(passphrase_variable) + " is empty");
  auto key = nat::secret_key::from_passphrase(phrase.view(), topic);
  if (!key) throw std::runtime_error(std::string(passphrase_variable) + ": " + key.error().message());
  return std::move(*key);
}

}  // namespace

std::optional<nat::secret_key> read_key(const std::optional<std::string>& key_file, std::string_view topic) {
  const auto text = take_variable(key_variable);
  const auto phrase = take_variable(passphrase_variable);
  const int given = (key_file ? 1 : 0) + (text ? 1 : 0) + (phrase ? 1 : 0);
  if (given > 1) throw usage_error("more than one of --key-file, NATPEER_KEY and NATPEER_PASSPHRASE");
  if (key_file) return read_file(*key_file);
  if (text) return read_variable(*text);
  if (phrase) return stretch(*phrase, topic);
  // The option's parser takes an empty variable for none.
  const char* empty = std::getenv("NATPEER_KEY_FILE");
  if (empty != nullptr && *empty == '\0') throw usage_error("NATPEER_KEY_FILE is empty");
  return std::nullopt;
}

int run_keygen() {
  if (::sodium_init() < 0) throw std::runtime_error("the cryptographic library cannot be initialised");
  std::array<std::uint8_t, nat::secret_key::size> bytes;
  ::randombytes_buf(bytes.data(), bytes.size());
  auto text = nat::secret_key(bytes).to_base64() + '\n';
  ::sodium_memzero(bytes.data(), bytes.size());
  const bool written = static_cast<bool>(std::cout << text << std::flush);
  ::sodium_memzero(text.data(), text.size());
  if (!written) throw std::runtime_error("cannot write to stdout");
  return 0;
}

}  // namespace natpeer
