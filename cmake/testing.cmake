# Helpers for the test tree. Every test runs through ctest, so that one command runs them all.
include(GoogleTest)

# natpeer_add_gtest(NAME SOURCES... LIBS ...): one GoogleTest program; each of its tests is a ctest test.
function(natpeer_add_gtest name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE natpeer_options ${arg_LIBS} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS "${name}" TIMEOUT 120)
endfunction()

# natpeer_add_fuzzer(NAME SOURCE): a libFuzzer harness and its corpus, tests/fuzz/corpus/NAME. Under the fuzz preset ctest
# fuzzes for NATPEER_FUZZ_SECONDS from that corpus; in every other build the same harness replays the corpus as a plain test.
set(NATPEER_FUZZ_SECONDS 20 CACHE STRING "How long ctest fuzzes each harness under the fuzz preset")
function(natpeer_add_fuzzer name source)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  add_executable(fuzz_${name} ${source})
  target_link_libraries(fuzz_${name} PRIVATE natpeer_options nat_core)
  if(NATPEER_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    set(found ${CMAKE_CURRENT_BINARY_DIR}/found/${name})
    file(MAKE_DIRECTORY ${found})
    add_test(NAME fuzz.${name} COMMAND fuzz_${name} -max_total_time=${NATPEER_FUZZ_SECONDS} -timeout=5 -rss_limit_mb=2048
      -artifact_prefix=${found}/ ${found} ${corpus})
  else()
    target_sources(fuzz_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/replay.cpp)
    add_test(NAME fuzz.replay.${name} COMMAND fuzz_${name} ${corpus})
  endif()
endfunction()
