// Fencing tokens: they rise with every acquire, whoever makes it; an extension keeps them; they can be switched off.

#include "test.h"

enum { ROUNDS = 200, PROPOSERS = 3 };

static redlock_factory *factory;

static uint64_t fence_of(redlock_factory *by, const char *resource) {
  redlock_lock *lock = lock_now(by, resource, 60000);
  uint64_t fence = redlock_lock_fence(lock);
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
  return fence;
}

static void it_rises(void) {
  uint64_t last = 0;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t fence = fence_of(factory, "rises");
    CHECK(fence > last && fence < (UINT64_C(1) << 53));
    last = fence;
  }
}

// Clients whose clocks differ by an hour, as other machines' do: one order all the same.
static void it_rises_across_factories(void) {
  const char *const offsets[PROPOSERS] = {"0", "3600000", "-3600000"};
  redlock_factory *factories[PROPOSERS];
  uint64_t last = 0;
  for (int i = 0; i < PROPOSERS; i++) factories[i] = new_factory_with("ballot_clock_offset_ms", offsets[i]);
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t fence = fence_of(factories[round % PROPOSERS], "rises");
    CHECK(fence > last);
    last = fence;
  }
  for (int i = 0; i < PROPOSERS; i++) redlock_factory_free(factories[i]);
}

static void it_is_the_locks_for_life(void) {
  redlock_lock *lock = lock_now(factory, "life", 60000);
  uint64_t fence = redlock_lock_fence(lock);
  CHECK(fence > 0);
  OK(redlock_extend(lock, 100000, &err));
  CHECK(redlock_lock_fence(lock) == fence);
  OK(redlock_release(lock, &err));
  CHECK(redlock_lock_fence(lock) == fence);
  CHECK(redlock_lock_fence_at(lock, 0) == fence && redlock_lock_fence_at(lock, 1) == 0);
  redlock_lock_free(lock);
}

static void it_comes_with_the_event(void) {
  redlock_queue *queue = new_queue();
  uint64_t last = fence_of(factory, "event");
  OK(redlock_submit_acquire(factory, "event", 60000, 60000, queue, 1, &err));
  redlock_event event = next_event(queue);
  SUCCEEDED(event);
  CHECK(event.fence > last && event.fence == redlock_lock_fence(event.lock));
  OK(redlock_submit_release(event.lock, queue, 2, &err));
  redlock_event released = next_event(queue);
  SUCCEEDED(released);
  CHECK(released.fence == 0);
  redlock_lock_free(event.lock);
  redlock_queue_free(queue);
}

static void it_can_be_switched_off(void) {
  redlock_factory *plain = new_factory_with("fencing", "off");
  redlock_lock *lock = lock_now(plain, "plain", 60000);
  CHECK(redlock_lock_fence(lock) == 0 && redlock_lock_fence_at(lock, 0) == 0);
  OK(redlock_release(lock, &err));
  redlock_lock_free(lock);
  redlock_factory_free(plain);
}

int main(void) {
  factory = new_factory();
  it_rises();
  it_rises_across_factories();
  it_is_the_locks_for_life();
  it_comes_with_the_event();
  it_can_be_switched_off();
  redlock_factory_free(factory);
  return 0;
}
