// Errors: their status, and what each node had to say.
#include "test.hpp"

#include <csignal>
#include <exception>

namespace {

using namespace test;

// Stops a server for as long as it lives.
class stopped_node {
public:
  explicit stopped_node(std::size_t i) : pid_(pid_of_node(i)) { CHECK(kill(pid_, SIGSTOP) == 0); }
  stopped_node(const stopped_node &) = delete;
  stopped_node &operator=(const stopped_node &) = delete;
  ~stopped_node() { kill(pid_, SIGCONT); }

private:
  pid_t pid_;
};

redlock::error failure_of(redlock::result<redlock::lock> outcome) {
  CHECK(!outcome.has_value());
  return outcome.error();
}

void contention_is_told_node_by_node() {
  redlock::factory factory = patient_factory();
  redlock::lock lock = factory.acquire("a", long_ttl);
  redlock::error failure = failure_of(factory.try_acquire("a", 1s));
  CHECK(failure.status() == status::contended);
  CHECK(failure.nodes().size() == node_count());
  std::size_t contended = 0;
  for (std::size_t i = 0; i < node_count(); i++) {
    const redlock::node_report &node = failure.nodes()[i];
    CHECK(urls()[i].find(node.address.substr(0, node.address.rfind('/'))) == 0);
    CHECK(!node.message.empty());
    contended += node.status == status::contended ? 1U : 0U;
  }
  CHECK(contended > 0);
}

void too_few_nodes_are_told_apart() {
  redlock::factory factory(urls(), {{"node_timeout_ms", "200"}});
  CHECK(factory.try_acquire("warm", long_ttl, patience).has_value());
  stopped_node first(0);
  stopped_node second(1);
  stopped_node third(2);
  redlock::error failure = failure_of(factory.try_acquire("b", long_ttl));
  CHECK(failure.status() == status::no_quorum);
  for (std::size_t i = 0; i < 3; i++) {
    const status node = failure.nodes()[i].status;
    CHECK(node == status::timeout || node == status::unreachable || node == status::unanswered);
  }
}

void passwords_are_not_told() {
  redlock::factory factory({"redis://user:secret-word@127.0.0.1:1"}, {{"connect_timeout_ms", "5000"}});
  redlock::error failure = failure_of(factory.try_acquire("a", 1s));
  CHECK(failure.status() == status::no_quorum);
  CHECK(!contains(failure.what(), "secret-word"));
  for (const redlock::node_report &node : failure.nodes()) {
    CHECK(node.address.find("secret-word") == std::string::npos);
    CHECK(node.message.find("secret-word") == std::string::npos);
  }
}

void copies_share_what_they_tell() {
  redlock::factory factory({"redis://127.0.0.1:1"});
  const redlock::error failure = failure_of(factory.try_acquire("a", 1s));
  const redlock::error copy = failure;
  CHECK(&copy.nodes() == &failure.nodes());
  CHECK(std::string(copy.what()) == failure.what());
  std::exception_ptr held = std::make_exception_ptr(failure);
  try {
    std::rethrow_exception(held);
  } catch (const std::runtime_error &base) {
    CHECK(std::string(base.what()) == failure.what());
  }
}

void statuses_have_names() {
  CHECK(std::string(redlock::name(status::contended)) == "REDLOCK_ERR_CONTENDED");
  CHECK(std::string(redlock::message(status::contended)).size() > 10);
  CHECK(std::string(redlock::name(static_cast<status>(9999))) == "REDLOCK_ERR_UNKNOWN");
}

} // namespace

int main() {
  return test::run({TEST(contention_is_told_node_by_node), TEST(too_few_nodes_are_told_apart),
                    TEST(passwords_are_not_told), TEST(copies_share_what_they_tell), TEST(statuses_have_names)});
}
