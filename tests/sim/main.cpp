// The simulator as a program:
//
//   natpeer_sim grid                        every NAT with every NAT
//   natpeer_sim random --runs 1000          random topologies and faults, of the seeds 1, 2, ...
//   natpeer_sim random --seed 7 --trace -   one of them again, told packet by packet
//   natpeer_sim stream --runs 1000          streams, of which nothing may be missing
//   natpeer_sim hostile                     hostile clients, and a victim of theirs
//   natpeer_sim liar --runs 10              keyed topics at a coordinator that lies
//   natpeer_sim scale --json FILE           how cost grows with the number of peers
#include "runs.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace {

using namespace nat::sim;

struct options {
  std::uint64_t seed = 1;
  std::uint64_t runs = 1;
  std::size_t clients = 1000;
  std::string trace;
  std::string json;
};

double seconds(nat::duration time) { return std::chrono::duration<double>(time).count(); }

double seconds_since(std::chrono::steady_clock::time_point began) {
  return seconds(std::chrono::steady_clock::now() - began);
}

std::string spread(std::vector<nat::duration> times) {
  if (times.empty()) return "no pair had to connect";
  std::ranges::sort(times);
  const auto at = [&](std::size_t percent) { return seconds(times[(times.size() - 1) * percent / 100]); };
  char text[160];
  std::snprintf(text, sizeof text,
                "%zu times a pair had to connect; virtual seconds to the first line: median %.2f, 99%% %.2f, most %.2f",
                times.size(), at(50), at(99), at(100));
  return text;
}

/// Null: none is wanted.
std::unique_ptr<std::ostream> open_trace(const options& chosen) {
  if (chosen.trace.empty()) return nullptr;
  if (chosen.trace == "-") return std::make_unique<std::ostream>(std::cout.rdbuf());
  auto file = std::make_unique<std::ofstream>(chosen.trace);
  if (!*file) throw CLI::FileError("cannot write " + chosen.trace);
  return file;
}

int grid_command(const options& chosen) {
  const auto began = std::chrono::steady_clock::now();
  const auto result = run_grid(chosen.seed);
  std::size_t must = 0, may = 0, cannot = 0, pairs = 0;
  std::printf(
      "Whether the column hears the row: + it does, as it must; - it does not and cannot; o, . it does or does not, "
      "which depends on luck\n\n");
  for (std::size_t i = 0; i < result.kinds.size(); ++i) {
    std::printf("%-20s ", result.kinds[i].name.c_str());
    for (const auto& cell : result.cells[i]) {
      ++pairs;
      must += cell.theory == verdict::must;
      may += cell.theory == verdict::may;
      cannot += cell.theory == verdict::cannot;
      const char heard = cell.theory == verdict::may ? 'o' : '+';
      const char silent = cell.theory == verdict::may ? '.' : '-';
      std::putchar(cell.heard ? heard : silent);
    }
    std::putchar('\n');
  }
  for (const auto& what : result.failures)
    std::printf("FAILED (seed %llu): %s\n", static_cast<unsigned long long>(chosen.seed), what.c_str());
  std::printf("\ngrid: %zu kinds, %zu ordered pairs: %zu must connect, %zu cannot, %zu may; %s; %.1f s\n",
              result.kinds.size(), pairs, must, cannot, may, spread(result.connect_times).c_str(),
              seconds_since(began));
  return result.failures.empty() ? 0 : 1;
}

int random_command(const options& chosen) {
  const auto began = std::chrono::steady_clock::now();
  const auto log = open_trace(chosen);
  std::size_t failed = 0;
  std::vector<nat::duration> times;
  std::array<std::size_t, 3> pairs{};
  for (auto seed = chosen.seed; seed < chosen.seed + chosen.runs; ++seed) {
    outcome result;
    try {
      result = run_random(seed, log.get());
    } catch (const std::exception& error) {
      result.failed = 1;
      result.failures.emplace_back(error.what());
    }
    times.insert(times.end(), result.connect_times.begin(), result.connect_times.end());
    for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] += result.pairs[i];
    if (result.passed()) continue;
    ++failed;
    std::printf("FAILED: seed %llu, %zu breaches (again, packet by packet: ./scripts/sim --seed %llu --trace FILE)\n",
                static_cast<unsigned long long>(seed), result.failed, static_cast<unsigned long long>(seed));
    for (const auto& what : result.failures) std::printf("  %s\n", what.c_str());
  }
  std::printf("random: %llu runs from seed %llu, %zu failed; pairs checked: %zu must connect, %zu cannot, %zu may\n",
              static_cast<unsigned long long>(chosen.runs), static_cast<unsigned long long>(chosen.seed), failed,
              pairs[static_cast<std::size_t>(verdict::must)], pairs[static_cast<std::size_t>(verdict::cannot)],
              pairs[static_cast<std::size_t>(verdict::may)]);
  std::printf("random: before the faults, %s; %.1f s\n", spread(times).c_str(), seconds_since(began));
  return failed == 0 ? 0 : 1;
}

int stream_command(const options& chosen) {
  const auto began = std::chrono::steady_clock::now();
  const auto log = open_trace(chosen);
  std::size_t failed = 0, whole = 0, parts = 0, cut = 0, unserved = 0, unkept = 0, unheard = 0;
  std::vector<nat::duration> times;
  for (auto seed = chosen.seed; seed < chosen.seed + chosen.runs; ++seed) {
    stream_outcome result;
    try {
      result = run_stream(seed, log.get());
    } catch (const std::exception& error) {
      result.all.failed = 1;
      result.all.failures.emplace_back(error.what());
    }
    times.push_back(result.time);
    whole += result.whole;
    parts += result.parts;
    cut += result.cut;
    unserved += result.unserved;
    unkept += result.unkept;
    unheard += result.unheard;
    if (result.all.passed()) continue;
    ++failed;
    std::printf("FAILED: seed %llu, %zu breaches (again: natpeer_sim stream --seed %llu --trace FILE)\n",
                static_cast<unsigned long long>(seed), result.all.failed, static_cast<unsigned long long>(seed));
    for (const auto& what : result.all.failures) std::printf("  %s\n", what.c_str());
    std::fflush(stdout);
  }
  std::ranges::sort(times);
  std::printf(
      "stream: %llu runs from seed %llu, %zu failed; streams: %zu whole, %zu from where a peer came, %zu cut, %zu not "
      "begun; %zu senders ended with a status other than 0, as somebody had left, "
      "%zu spoke while nobody was there; virtual seconds: median %.0f, most "
      "%.0f; %.1f s\n",
      static_cast<unsigned long long>(chosen.runs), static_cast<unsigned long long>(chosen.seed), failed, whole, parts,
      cut, unserved, unkept, unheard, seconds(times.empty() ? nat::duration{} : times[times.size() / 2]),
      seconds(times.empty() ? nat::duration{} : times.back()), seconds_since(began));
  return failed == 0 ? 0 : 1;
}

int hostile_command(const options& chosen) {
  bool passed = true;
  for (const auto& each : all_hostile_cases(chosen.clients)) {
    const auto began = std::chrono::steady_clock::now();
    const auto row = run_hostile(chosen.seed, each);
    victim::tally most;
    for (const auto& got : row.each) {
      most.pings = std::max(most.pings, got.pings);
      most.data_bytes = std::max(most.data_bytes, got.data_bytes);
    }
    std::printf(
        "%s: %zu hostile clients, %llu registrations, %llu forged packets, %.0f virtual seconds; the victim got %llu "
        "PINGs and %llu bytes of DATA of %zu peers, at most %llu and %llu of one; %.1f s\n",
        each.name.c_str(), each.clients, static_cast<unsigned long long>(row.joined),
        static_cast<unsigned long long>(row.forged), seconds(each.time),
        static_cast<unsigned long long>(row.in_all.pings), static_cast<unsigned long long>(row.in_all.data_bytes),
        row.each.size(), static_cast<unsigned long long>(most.pings), static_cast<unsigned long long>(most.data_bytes),
        seconds_since(began));
    for (const auto& what : row.failures)
      std::printf("FAILED (seed %llu): %s\n", static_cast<unsigned long long>(chosen.seed), what.c_str());
    std::fflush(stdout);
    passed = passed && row.failures.empty();
  }
  return passed ? 0 : 1;
}

int liar_command(const options& chosen) {
  bool passed = true;
  for (auto seed = chosen.seed; seed < chosen.seed + chosen.runs; ++seed) {
    const auto began = std::chrono::steady_clock::now();
    const auto file = open_trace(chosen);
    const auto row = run_liar(seed, file.get());
    std::printf("a coordinator that lies, seed %llu: %llu packets forged, %llu recorded, %llu refused; %.1f s\n",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(row.forged),
                static_cast<unsigned long long>(row.recorded), static_cast<unsigned long long>(row.refused),
                seconds_since(began));
    for (const auto& what : row.failures)
      std::printf("FAILED (seed %llu): %s\n", static_cast<unsigned long long>(seed), what.c_str());
    std::fflush(stdout);
    passed = passed && row.failures.empty();
  }
  return passed ? 0 : 1;
}

nlohmann::json to_json(const scale_row& row) {
  return {{"topics", row.topics},
          {"peers", row.peers},
          {"joining_seconds", seconds(row.joining)},
          {"lists", row.lists},
          {"list_bytes", row.list_bytes},
          {"packets_per_peer_second", row.packets},
          {"bytes_per_peer_second", row.bytes},
          {"peer_memory", row.peer_memory},
          {"coordinator_memory", row.coordinator_memory},
          {"change_lists", row.change_lists},
          {"change_bytes", row.change_bytes},
          {"real_seconds", row.real_seconds}};
}

int scale_command(const options& chosen) {
  struct size {
    std::size_t topics, peers_each;
  };
  constexpr size sizes[] = {{1, 10}, {1, 30}, {1, 100}, {1, 300}, {1, 1000}, {10, 10}, {100, 10}, {1000, 10}};
  auto rows = nlohmann::json::array();
  bool passed = true;
  for (const auto& [topics, peers_each] : sizes) {
    const auto row = run_scale(chosen.seed, topics, peers_each);
    for (const auto& what : row.failures)
      std::printf("FAILED (seed %llu): %s\n", static_cast<unsigned long long>(chosen.seed), what.c_str());
    passed = passed && row.failures.empty();
    std::printf(
        "%zu peers in %zu topics: joined in %.1f s; %llu lists, %llu bytes; steady: %.0f packets/s, %.0f bytes/s each; "
        "heap: %zu a peer, %zu in natcoord for each; one leaves: %llu lists, %llu bytes; %.1f s real\n",
        row.peers, row.topics, seconds(row.joining), static_cast<unsigned long long>(row.lists),
        static_cast<unsigned long long>(row.list_bytes), row.packets, row.bytes, row.peer_memory,
        row.coordinator_memory, static_cast<unsigned long long>(row.change_lists),
        static_cast<unsigned long long>(row.change_bytes), row.real_seconds);
    std::fflush(stdout);
    rows.push_back(to_json(row));
  }
  if (!chosen.json.empty()) {
    std::ofstream file(chosen.json);
    file << rows.dump(2) << '\n';
    if (!file.flush()) throw CLI::FileError("cannot write " + chosen.json);
  }
  return passed ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  options chosen;
  CLI::App app("Runs the engines of natpeer and natcoord on a virtual clock and a virtual internet.", "natpeer_sim");
  app.require_subcommand(1);
  auto* grid = app.add_subcommand("grid", "Every NAT with every NAT");
  auto* random = app.add_subcommand("random", "Random topologies and faults");
  auto* stream = app.add_subcommand("stream", "Streams over bad networks");
  auto* scale = app.add_subcommand("scale", "How cost grows with the number of peers (about ten minutes)");
  auto* hostile = app.add_subcommand("hostile", "A victim that hostile clients have peers send to");
  hostile->add_option("--clients", chosen.clients, "How many hostile clients")->capture_default_str();
  auto* liar = app.add_subcommand("liar", "A keyed topic at a coordinator that lies");
  for (auto* command : {grid, random, stream, scale, hostile, liar})
    command->add_option("--seed", chosen.seed, "The first run's seed")->capture_default_str();
  for (auto* command : {random, stream, liar}) {
    command->add_option("--runs", chosen.runs, "How many runs, each of the next seed")->capture_default_str();
    command->add_option("--trace", chosen.trace, "Write down every packet to this file (- for stdout)");
  }
  scale->add_option("--json", chosen.json, "Write the table to this file, too");
  try {
    app.parse(argc, argv);
    if (grid->parsed()) return grid_command(chosen);
    if (random->parsed()) return random_command(chosen);
    if (stream->parsed()) return stream_command(chosen);
    if (hostile->parsed()) return hostile_command(chosen);
    if (liar->parsed()) return liar_command(chosen);
    return scale_command(chosen);
  } catch (const CLI::Error& error) {
    return app.exit(error);
  }
}
