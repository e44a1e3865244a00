#include "nat/net/process.hpp"

#include "options.hpp"
#include "run.hpp"

#include <exception>
#include <iostream>
#include <variant>

int main(int argc, char** argv) {
  nat::net::open_standard_descriptors();
  try {
    const auto parsed = natcoord::parse_options(argc, argv);
    if (const auto* status = std::get_if<int>(&parsed)) return *status;
    natcoord::run(std::get<natcoord::options>(parsed));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "natcoord: " << error.what() << '\n';
    return natcoord::exit_failure;
  }
}
