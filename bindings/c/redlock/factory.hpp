/// @file factory.hpp
/// @brief A set of nodes, from which locks are taken.
#ifndef REDLOCK_FACTORY_HPP
#define REDLOCK_FACTORY_HPP

#include <redlock.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#if __has_include(<stop_token>)
#include <stop_token>
#endif

#include "background.hpp"
#include "duration.hpp"
#include "error.hpp"
#include "lock.hpp"
#include "options.hpp"
#include "pending.hpp"
#include "queue.hpp"
#include "result.hpp"
#include "text.hpp"
#include "version.hpp"

namespace redlock {
namespace detail {

/// The calls that take a lock from a set of nodes: shared by a factory, and the mutexes that may outlive it.
class nodes {
public:
  explicit nodes(redlock_factory *handle) : handle_(handle), home_(std::make_shared<background>()) {}
  nodes(const nodes &) = delete;
  nodes &operator=(const nodes &) = delete;
  ~nodes() { close(); }

  // The handle stays what it is, so that calls in other threads meet a handle that was freed, and not a race.
  void close() noexcept {
    is_closed_ = true;
    ::redlock_factory_free(handle_);
  }

  [[nodiscard]] redlock_factory *handle() const noexcept { return handle_; }
  [[nodiscard]] const std::shared_ptr<background> &home() const noexcept { return home_; }

  /// Why nothing can be asked of the nodes, if so.
  [[nodiscard]] std::optional<error> refusal() const {
    if (!is_closed_) return std::nullopt;
    return error(status::closed, "the factory was closed");
  }

  /// Why a lock cannot be asked for, if so.
  [[nodiscard]] std::optional<error> refusal(const std::optional<error> &names, duration ttl, duration wait) const {
    if (std::optional<error> refused = refusal()) return refused;
    if (names) return names;
    if (std::optional<error> refused = ttl.ttl_refusal()) return refused;
    return wait.wait_refusal();
  }

  result<lock> acquire(const text &resource, duration ttl, duration wait) const {
    if (std::optional<error> refused = refusal(resource.refusal(), ttl, wait)) return *refused;
    return won([&](redlock_lock **out, redlock_error **err) {
      return ::redlock_acquire(handle_, resource.c_str(), ttl.ttl_ms(), wait.wait_ms(), out, err);
    });
  }

  result<lock> acquire_many(const text_array &resources, duration ttl, duration wait) const {
    if (std::optional<error> refused = refusal(resources.refusal(), ttl, wait)) return *refused;
    return won([&](redlock_lock **out, redlock_error **err) {
      return ::redlock_acquire_many(handle_, resources.data(), resources.size(), ttl.ttl_ms(), wait.wait_ms(), out,
                                    err);
    });
  }

private:
  template <typename Call> result<lock> won(Call call) const {
    redlock_lock *handle = nullptr;
    result<void> outcome = attempt([&](redlock_error **err) { return call(&handle, err); });
    if (!outcome) return outcome.error();
    return lock(handle, home_);
  }

  redlock_factory *const handle_;
  std::atomic<bool> is_closed_{false};
  const std::shared_ptr<background> home_;
};

} // namespace detail

/// A set of nodes, independent Redis masters, from which locks are taken. One factory for each set is enough for a
/// process: it keeps one connection to each node, however many locks and threads there are. In a forked child it opens
/// connections of its own.
class factory {
public:
  /// Over the one node redis://127.0.0.1:6379/0.
  factory() : factory(try_make({}).value()) {}
  /// Over the masters at `urls`: redis://[user:password@]host[:port][/database], rediss://... for TLS, or
  /// unix:///path/to/socket; at most 64, an odd number such as 3 or 5 is best. Needs no node to be up: connections are
  /// made in the background.
  explicit factory(const std::vector<std::string> &urls) : factory(try_make(urls).value()) {}
  /// With settings.
  factory(const std::vector<std::string> &urls, const options &settings) : factory(try_make(urls, settings).value()) {}

  /// A factory with the default settings.
  static result<factory> try_make(const std::vector<std::string> &urls) { return made(urls, nullptr); }
  /// A factory.
  static result<factory> try_make(const std::vector<std::string> &urls, const options &settings) {
    // C would take null for the defaults.
    if (settings.c_handle() == nullptr) return error(status::invalid_argument, "the options were moved away");
    return made(urls, settings.c_handle());
  }

  factory(factory &&) = default;
  /// Closes what it was before.
  factory &operator=(factory &&other) noexcept {
    factory(std::move(other)).nodes_.swap(nodes_);
    return *this;
  }
  /// close()
  ~factory() { close(); }

  /// Ends it: acquires under way fail with status::closed, and so do all later calls. Locks that are held stay held and
  /// usable. May block for as long as the node timeout, while releases reach the nodes. Can be called again.
  void close() noexcept {
    if (nodes_) nodes_->close();
  }

  // --- Taking locks ---

  /// Takes the lock on `resource` (1 to 512 bytes of UTF-8) for `ttl` (1 ms to 30 days; see the option max_ttl_ms),
  /// trying for as long as `wait` says. Throws status::contended when another holds it; status::no_quorum when too few
  /// nodes voted; status::expired when they took so long that nothing of the TTL was left; status::invalid_argument;
  /// status::closed.
  [[nodiscard]] lock acquire(const text &resource, duration ttl, duration wait = forever) {
    return try_acquire(resource, ttl, wait).value();
  }
  /// acquire() with a result; without `wait`, it tries once.
  result<lock> try_acquire(const text &resource, duration ttl, duration wait = no_wait) {
    if (!nodes_) return nothing_here();
    return nodes_->acquire(resource, ttl, wait);
  }
  /// acquire() as a future, which can be cancelled.
  [[nodiscard]] pending<lock> acquire_async(const text &resource, duration ttl, duration wait = forever) {
    return begin_acquire<lock>(resource, ttl, wait);
  }
  /// acquire_async() with a result; without `wait`, it tries once.
  [[nodiscard]] pending<result<lock>> try_acquire_async(const text &resource, duration ttl, duration wait = no_wait) {
    return begin_acquire<result<lock>>(resource, ttl, wait);
  }

#if defined(__cpp_lib_jthread)
  /// acquire() that ends with status::cancelled when a stop is requested.
  [[nodiscard]] lock acquire(const text &resource, duration ttl, duration wait, std::stop_token stop) {
    return try_acquire(resource, ttl, wait, std::move(stop)).value();
  }
  /// try_acquire() that ends with status::cancelled when a stop is requested.
  result<lock> try_acquire(const text &resource, duration ttl, duration wait, std::stop_token stop) {
    pending<result<lock>> acquiring = try_acquire_async(resource, ttl, wait);
    std::stop_callback cancel(std::move(stop), [&] { acquiring.cancel(); });
    return acquiring.get();
  }
#endif

  // --- Several resources at once ---

  /// Takes the locks on 1 to 128 resources as one lock, or none of them: when one is held by another, the others are
  /// given back. One try takes one round trip, and sets that overlap never wait for each other for ever, in whichever
  /// order they are named. Throws as acquire() does.
  [[nodiscard]] lock acquire_many(const std::vector<std::string> &resources, duration ttl, duration wait = forever) {
    return try_acquire_many(resources, ttl, wait).value();
  }
  /// acquire_many() with a result; without `wait`, it tries once.
  result<lock> try_acquire_many(const std::vector<std::string> &resources, duration ttl, duration wait = no_wait) {
    if (!nodes_) return nothing_here();
    return nodes_->acquire_many(detail::text_array(resources), ttl, wait);
  }
  /// acquire_many() as a future, which can be cancelled.
  [[nodiscard]] pending<lock> acquire_many_async(const std::vector<std::string> &resources, duration ttl,
                                                 duration wait = forever) {
    return begin_acquire_many<lock>(resources, ttl, wait);
  }
  /// acquire_many_async() with a result; without `wait`, it tries once.
  [[nodiscard]] pending<result<lock>> try_acquire_many_async(const std::vector<std::string> &resources, duration ttl,
                                                             duration wait = no_wait) {
    return begin_acquire_many<result<lock>>(resources, ttl, wait);
  }

  // --- Looking ---

  /// Whether anybody holds the lock on `resource`, by a quorum of the nodes. The answer may be out of date when it
  /// arrives: for display and diagnosis, not for deciding.
  [[nodiscard]] bool is_locked(const text &resource) { return try_is_locked(resource).value(); }
  /// is_locked(), with a result.
  result<bool> try_is_locked(const text &resource) {
    if (std::optional<error> refused = refusal(resource)) return *refused;
    std::int32_t locked = 0;
    result<void> outcome = detail::attempt(
        [&](redlock_error **err) { return ::redlock_is_locked(c_handle(), resource.c_str(), &locked, err); });
    if (!outcome) return outcome.error();
    return locked != 0;
  }
  /// is_locked() as a future.
  [[nodiscard]] pending<bool> is_locked_async(const text &resource) { return begin_is_locked<bool>(resource); }
  /// is_locked_async() with a result.
  [[nodiscard]] pending<result<bool>> try_is_locked_async(const text &resource) {
    return begin_is_locked<result<bool>>(resource);
  }

  /// The health of each node, for a person to read: one line a node, in the order of the URLs. Asks the
  /// connected nodes about their fences, for a quarter of a second at most.
  [[nodiscard]] std::string check() { return try_check().value(); }
  /// check(), with a result.
  result<std::string> try_check() {
    if (std::optional<error> refused = refusal()) return *refused;
    char *report = nullptr;
    result<void> outcome =
        detail::attempt([&](redlock_error **err) { return ::redlock_factory_check(c_handle(), &report, err); });
    std::unique_ptr<char, void (*)(char *)> owned(report, ::redlock_string_free);
    if (!outcome) return outcome.error();
    return detail::string_or_empty(report);
  }

  /// Gives the operator's word that the nodes have forgotten no lock, so that those which are connected vote at once:
  /// for a fresh set of nodes with the option restart_guard=strict. A new factory contacts all nodes first. Throws
  /// status::no_quorum when none can be reached.
  void trust_nodes() { try_trust_nodes().value(); }
  /// trust_nodes(), with a result.
  result<void> try_trust_nodes() {
    if (std::optional<error> refused = refusal()) return *refused;
    return detail::attempt([&](redlock_error **err) { return ::redlock_factory_trust_nodes(c_handle(), err); });
  }

  // --- Credentials that change ---

  /// The user and password by which all nodes are logged in to from now on, in place of those in their URLs and of the
  /// option password_file. Connections that there are stay as they are.
  void set_credentials(const text &user, const text &password) { try_set_credentials(user, password).value(); }
  /// set_credentials(), with a result.
  result<void> try_set_credentials(const text &user, const text &password) {
    if (std::optional<error> refused = refusal(user)) return *refused;
    if (std::optional<error> refused = password.refusal()) return *refused;
    return detail::attempt([&](redlock_error **err) {
      return ::redlock_factory_set_credentials(c_handle(), user.c_str(), password.c_str(), err);
    });
  }
  /// Has event_kind::credentials come to the queue when connections wait for set_credentials(): for the option
  /// ask_credentials. `id` is the event's.
  void ask_for_credentials(queue &to, std::uint64_t id) { try_ask_for_credentials(to, id).value(); }
  /// ask_for_credentials(), with a result.
  result<void> try_ask_for_credentials(queue &to, std::uint64_t id) {
    if (std::optional<error> refused = refusal()) return *refused;
    return detail::attempt(
        [&](redlock_error **err) { return ::redlock_factory_ask_for_credentials(c_handle(), to.c_handle(), id, err); });
  }
  /// Says why there are no credentials at the moment, which the nodes' errors repeat.
  void refuse_credentials(const text &reason) { try_refuse_credentials(reason).value(); }
  /// refuse_credentials(), with a result.
  result<void> try_refuse_credentials(const text &reason) {
    if (std::optional<error> refused = refusal(reason)) return *refused;
    return detail::attempt(
        [&](redlock_error **err) { return ::redlock_factory_refuse_credentials(c_handle(), reason.c_str(), err); });
  }

  // --- On a queue of the caller's ---

  /// Begins to acquire; ends in one event_kind::acquire of the queue. `id` is free to choose, but no other operation
  /// under way on this queue may have it.
  void submit_acquire(const text &resource, duration ttl, duration wait, queue &to, std::uint64_t id) {
    try_submit_acquire(resource, ttl, wait, to, id).value();
  }
  /// submit_acquire(), with a result.
  result<void> try_submit_acquire(const text &resource, duration ttl, duration wait, queue &to, std::uint64_t id) {
    if (!nodes_) return nothing_here();
    if (std::optional<error> refused = nodes_->refusal(resource.refusal(), ttl, wait)) return *refused;
    return detail::attempt([&](redlock_error **err) {
      return ::redlock_submit_acquire(c_handle(), resource.c_str(), ttl.ttl_ms(), wait.wait_ms(), to.c_handle(), id,
                                      err);
    });
  }
  /// Begins to acquire several resources as one lock; ends in one event_kind::acquire of the queue.
  void submit_acquire_many(const std::vector<std::string> &resources, duration ttl, duration wait, queue &to,
                           std::uint64_t id) {
    try_submit_acquire_many(resources, ttl, wait, to, id).value();
  }
  /// submit_acquire_many(), with a result.
  result<void> try_submit_acquire_many(const std::vector<std::string> &resources, duration ttl, duration wait,
                                       queue &to, std::uint64_t id) {
    if (!nodes_) return nothing_here();
    detail::text_array names(resources);
    if (std::optional<error> refused = nodes_->refusal(names.refusal(), ttl, wait)) return *refused;
    return detail::attempt([&](redlock_error **err) {
      return ::redlock_submit_acquire_many(c_handle(), names.data(), names.size(), ttl.ttl_ms(), wait.wait_ms(),
                                           to.c_handle(), id, err);
    });
  }
  /// Begins to ask whether a resource is locked; ends in one event_kind::is_locked of the queue.
  void submit_is_locked(const text &resource, queue &to, std::uint64_t id) {
    try_submit_is_locked(resource, to, id).value();
  }
  /// submit_is_locked(), with a result.
  result<void> try_submit_is_locked(const text &resource, queue &to, std::uint64_t id) {
    if (std::optional<error> refused = refusal(resource)) return *refused;
    return detail::attempt([&](redlock_error **err) {
      return ::redlock_submit_is_locked(c_handle(), resource.c_str(), to.c_handle(), id, err);
    });
  }

  /// The handle of C, which stays this object's; null after moving away.
  [[nodiscard]] redlock_factory *c_handle() const noexcept { return nodes_ ? nodes_->handle() : nullptr; }

private:
  friend class holder;
  friend class mutex;

  explicit factory(redlock_factory *handle) : nodes_(std::make_shared<detail::nodes>(handle)) {}

  static error nothing_here() { return error(status::invalid_argument, "this factory was moved away"); }

  static result<factory> made(const std::vector<std::string> &urls, const redlock_options *settings) {
    if (result<void> fit = try_check_version(); !fit) return fit.error();
    detail::text_array array(urls);
    if (array.refusal()) return *array.refusal();
    redlock_factory *handle = nullptr;
    result<void> outcome = detail::attempt(
        [&](redlock_error **err) { return ::redlock_factory_new(array.data(), array.size(), settings, &handle, err); });
    if (!outcome) return outcome.error();
    return factory(handle);
  }

  std::optional<error> refusal() const { return nodes_ ? nodes_->refusal() : nothing_here(); }
  std::optional<error> refusal(const text &resource) const {
    if (std::optional<error> refused = refusal()) return refused;
    return resource.refusal();
  }
  std::optional<error> refusal(const std::optional<error> &names, duration ttl, duration wait) const {
    return nodes_ ? nodes_->refusal(names, ttl, wait) : nothing_here();
  }
  std::shared_ptr<detail::background> home() const { return nodes_ ? nodes_->home() : nullptr; }

  template <typename Promised> pending<Promised> begin_acquire(const text &resource, duration ttl, duration wait) {
    return begin_winning<Promised>(
        refusal(resource.refusal(), ttl, wait), [&](redlock_queue *queue, std::uint64_t id, redlock_error **err) {
          return ::redlock_submit_acquire(c_handle(), resource.c_str(), ttl.ttl_ms(), wait.wait_ms(), queue, id, err);
        });
  }

  template <typename Promised>
  pending<Promised> begin_acquire_many(const detail::text_array &names, duration ttl, duration wait) {
    return begin_winning<Promised>(refusal(names.refusal(), ttl, wait),
                                   [&](redlock_queue *queue, std::uint64_t id, redlock_error **err) {
                                     return ::redlock_submit_acquire_many(c_handle(), names.data(), names.size(),
                                                                          ttl.ttl_ms(), wait.wait_ms(), queue, id, err);
                                   });
  }

  template <typename Promised, typename Call> pending<Promised> begin_winning(std::optional<error> refused, Call call) {
    return detail::begin<Promised, lock>(home(), std::move(refused), std::move(call),
                                         [](redlock_event &event, const std::shared_ptr<detail::background> &home) {
                                           return result<lock>(lock(event.lock, home));
                                         });
  }

  template <typename Promised> pending<Promised> begin_is_locked(const text &resource) {
    return detail::begin<Promised, bool>(
        home(), refusal(resource),
        [&](redlock_queue *queue, std::uint64_t id, redlock_error **err) {
          return ::redlock_submit_is_locked(c_handle(), resource.c_str(), queue, id, err);
        },
        [](redlock_event &event, const std::shared_ptr<detail::background> &) {
          return result<bool>(event.value != 0);
        });
  }

  std::shared_ptr<detail::nodes> nodes_;
};

} // namespace redlock

#endif
