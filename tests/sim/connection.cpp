#include "connection.hpp"

#include <algorithm>
#include <utility>

namespace nat::sim {

internet::way connection::way() const {
  auto out = net_.way_out(client_);
  const bool at_home = &client_.where() == home_ && client_.ip() == address_;
  out.works = out.works && at_home && !is_cut_;
  return out;
}

void connection::send(side from, action what) {
  auto& self = end_of(from);
  if (!self.open) return;
  self.out.push_back(std::move(what));
  if (!self.blocked_since) flush(from);
}

void connection::flush(side from) {
  auto& self = end_of(from);
  const auto over = way();
  if (!over.works) return wait_for_way(from);
  self.blocked_since.reset();
  self.rto = first_rto;
  while (!self.out.empty()) {
    post(from, std::move(self.out.front()), over);
    self.out.pop_front();
  }
}

/// Retransmissions, until the system gives up.
void connection::wait_for_way(side from) {
  auto& self = end_of(from);
  auto& time = net_.time();
  if (!self.blocked_since) self.blocked_since = time.now();
  const auto patience = from == side::client ? client_timeout : server_timeout;
  if (time.now() - *self.blocked_since >= patience) return give_up(from);
  time.after(self.rto, [me = shared_from_this(), from] {
    if (!me->end_of(from).out.empty()) me->flush(from);
  });
  self.rto = std::min(self.rto * 2, last_rto);
}

void connection::post(side from, action what, const internet::way& over) {
  auto& self = end_of(from);
  auto& time = net_.time();
  auto arrives = time.now() + over.delay;
  if (over.jitter > duration::zero()) arrives += chance_.between(duration::zero(), over.jitter);
  for (auto rto = first_rto; over.loss > 0 && chance_.happens(over.loss) && rto < last_rto; rto *= 2) arrives += rto;
  self.last_arrival = std::max(self.last_arrival, arrives);
  time.at(self.last_arrival, [me = shared_from_this(), from, what = std::move(what), back = over.delay] {
    if (me->end_of(other(from)).open) return what();
    me->net_.time().after(back, [me, from] { me->give_up(from); });  // the answer is a reset
  });
}

void connection::close(side from) {
  auto& self = end_of(from);
  if (!self.open) return;
  send(from, [this, to = other(from)] { give_up(to); });
  self.open = false;
  self.on_end = nullptr;
}

void connection::give_up(side at) {
  auto& self = end_of(at);
  self.out.clear();
  if (!std::exchange(self.open, false)) return;
  if (const auto told = std::exchange(self.on_end, nullptr)) told();
}

}  // namespace nat::sim
