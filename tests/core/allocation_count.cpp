#include "allocation_count.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

void* make(std::size_t size, std::size_t alignment) {
  if (nat::allocation_count::is_on) ++nat::allocation_count::made;
  const auto least = std::max<std::size_t>(size, 1);
  void* at = alignment == 0 ? std::malloc(least)
                            : std::aligned_alloc(alignment, (least + alignment - 1) / alignment * alignment);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

}  // namespace

// All forms, though the library has the others call these: a sanitizer's own would be in the way.
void* operator new(std::size_t size) { return make(size, 0); }
void* operator new[](std::size_t size) { return make(size, 0); }
void* operator new(std::size_t size, std::align_val_t to) { return make(size, static_cast<std::size_t>(to)); }
void* operator new[](std::size_t size, std::align_val_t to) { return make(size, static_cast<std::size_t>(to)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return make(size, 0); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return make(size, 0); }
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { std::free(at); }
