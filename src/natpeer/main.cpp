#include "nat/net/process.hpp"

#include "options.hpp"
#include "run.hpp"

#include <cstdlib>
#include <exception>
#include <iostream>
#include <variant>

int main(int argc, char** argv) {
  nat::net::open_standard_descriptors();
  try {
    const auto parsed = natpeer::parse_options(argc, argv);
    if (const auto* status = std::get_if<int>(&parsed)) return *status;
    return natpeer::run(std::get<natpeer::options>(parsed));
  } catch (const std::exception& error) {
    std::cerr << "natpeer: " << error.what() << '\n';
    return natpeer::exit_failure;
  }
}
