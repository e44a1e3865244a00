#include "nat/pacer.hpp"

#include <algorithm>
#include <cassert>

namespace nat {

pacer::pacer(std::uint64_t bits_per_second, std::size_t burst) : bits_per_second_(bits_per_second), burst_{} {
  assert(bits_per_second > 0);
  burst_ = std::max(burst_time, time_for(burst));
}

duration pacer::time_for(std::size_t bytes) const {
  // In double: at 1 bit/s the integer product would overflow, and a nanosecond more or less is nothing here.
  constexpr double nanoseconds = 1e9;
  return duration(
      static_cast<duration::rep>(static_cast<double>(bytes) * 8 * nanoseconds / static_cast<double>(bits_per_second_)));
}

void pacer::on_sent(time_point now, std::size_t bytes) {
  assert(ready(now));
  free_at_ = std::max(free_at_, now - burst_) + time_for(bytes);
}

}  // namespace nat
