# One interface target carries what every target of ours is compiled with.
set(NATPEER_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them (address,undefined | thread)")

add_library(natpeer_options INTERFACE)
target_compile_features(natpeer_options INTERFACE cxx_std_20)
target_compile_options(natpeer_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Wcast-align
  -Woverloaded-virtual -Wno-missing-field-initializers  # designated initialisers leave out what has a default
  -fstack-protector-strong)
if(NATPEER_WERROR)
  target_compile_options(natpeer_options INTERFACE -Werror)
endif()
if(NATPEER_SANITIZE)
  # Global, so that the libraries we compile ourselves (Asio, Beast) are instrumented as well.
  add_compile_options(-fsanitize=${NATPEER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${NATPEER_SANITIZE})
  if(NATPEER_SANITIZE MATCHES undefined)
    # It opens a pipe to probe memory, and so reports what is not there when a test runs out of files on purpose.
    add_compile_options(-fno-sanitize=vptr)
  endif()
endif()
if(NATPEER_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # coverage of the libraries under test; the harnesses link the driver
endif()
if(CMAKE_BUILD_TYPE MATCHES "Release|RelWithDebInfo")
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
