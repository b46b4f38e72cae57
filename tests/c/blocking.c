// The blocking calls: what each gives, and how failures of different kinds look.

#include <signal.h>
#include <string.h>

#include "test.h"

static redlock_factory *factory;

static bool is_locked(const char *resource) {
  int32_t locked = -1;
  OK(redlock_is_locked(factory, resource, &locked, &err));
  CHECK(locked == 0 || locked == 1);
  return locked == 1;
}

static void a_lock_from_its_cradle_to_its_grave(void) {
  CHECK(!is_locked("life"));
  redlock_lock *lock = lock_now(factory, "life", 60000);
  CHECK(is_locked("life"));
  CHECK(redlock_lock_validity_ms(lock) > 0 && redlock_lock_validity_ms(lock) < 60000);
  CHECK(strcmp(redlock_lock_resource(lock), "life") == 0);
  CHECK(strlen(redlock_lock_token(lock)) == 40);
  CHECK(redlock_lock_token(lock) == redlock_lock_token(lock));
  OK(redlock_extend(lock, 100000, &err));
  CHECK(redlock_lock_validity_ms(lock) > 60000 && redlock_lock_validity_ms(lock) < 100000);
  OK(redlock_release(lock, &err));
  CHECK(!is_locked("life"));
  CHECK(redlock_lock_validity_ms(lock) == 0);
  FAILS(redlock_release(lock, &err), REDLOCK_ERR_RELEASED, "life");
  FAILS(redlock_extend(lock, 1000, &err), REDLOCK_ERR_RELEASED, "life");
  CHECK(strcmp(redlock_lock_resource(lock), "life") == 0);
  redlock_lock_free(lock);
  WAIT_UNTIL(nodes_holding("life") == 0);
}

static void a_held_lock_is_contended(void) {
  redlock_lock *lock = lock_now(factory, "held", 60000);
  redlock_lock *second = lock;
  redlock_error *error = NULL;
  FAILS(redlock_acquire(factory, "held", 1000, 0, &second, &err), REDLOCK_ERR_CONTENDED, "held");
  CHECK(second == NULL);
  FAILS(redlock_acquire(factory, "held", 1000, 20, &second, &err), REDLOCK_ERR_CONTENDED, "held");
  CHECK(redlock_acquire(factory, "held", 1000, 0, &second, &error) == REDLOCK_ERR_CONTENDED);
  CHECK(redlock_error_node_count(error) == node_count());
  size_t refusals = 0;
  for (size_t i = 0; i < node_count(); i++) {
    CHECK(contains(redlock_error_node_address(error, i), node_urls()[i]));
    CHECK(redlock_error_node_message(error, i) != NULL);
    refusals += redlock_error_node_status(error, i) == REDLOCK_ERR_CONTENDED;
  }
  CHECK(refusals > node_count() / 2);
  CHECK(redlock_error_node_address(error, node_count()) == NULL);
  redlock_error_free(error);
  redlock_lock_free(lock);
}

static void freeing_a_held_lock_releases_it(void) {
  redlock_lock_free(lock_now(factory, "dropped", 60000));
  redlock_lock *next = lock_now(factory, "dropped", 60000);
  OK(redlock_release(next, &err));
  redlock_lock_free(next);
  WAIT_UNTIL(nodes_holding("dropped") == 0);
}

static void a_lost_lock_says_so(void) {
  redlock_lock *lock = lock_now(factory, "lost", 50);
  WAIT_UNTIL(nodes_holding("lost") == 0);
  CHECK(redlock_lock_validity_ms(lock) == 0);
  FAILS(redlock_extend(lock, 1000, &err), REDLOCK_ERR_EXPIRED, "lost");
  CHECK(nodes_holding("lost") == 0);
  FAILS(redlock_release(lock, &err), REDLOCK_ERR_EXPIRED, "lost");
  redlock_lock_free(lock);
}

static void the_report_has_a_line_for_each_node(void) {
  char *report = NULL;
  size_t lines = 0;
  OK(redlock_factory_check(factory, &report, &err));
  for (const char *at = report; (at = strchr(at, '\n')) != NULL; at++) lines++;
  CHECK(lines == node_count());
  for (size_t i = 0; i < node_count(); i++) CHECK(contains(report, node_urls()[i]));
  redlock_string_free(report);
}

// Most masters hang: no quorum, which is not "contended", and each node says why.
static void without_a_majority_there_is_no_quorum(void) {
  redlock_factory *impatient = new_default_factory();
  redlock_lock *lock = NULL;
  redlock_error *error = NULL;
  size_t silent = 0;
  stop_majority();
  CHECK(redlock_acquire(impatient, "hung", 1000, 0, &lock, &error) == REDLOCK_ERR_NO_QUORUM);
  CHECK(lock == NULL);
  for (size_t i = 0; i < redlock_error_node_count(error); i++) {
    redlock_status status = redlock_error_node_status(error, i);
    silent += status == REDLOCK_ERR_TIMEOUT || status == REDLOCK_ERR_UNREACHABLE;
  }
  CHECK(silent > node_count() / 2);
  CHECK(contains(redlock_error_message(error), node_urls()[0]));
  redlock_error_free(error);
  continue_majority();
  lock = lock_now(impatient, "hung", 60000);
  redlock_lock_free(lock);
  redlock_factory_free(impatient);
}

int main(void) {
  factory = new_factory();
  a_lock_from_its_cradle_to_its_grave();
  a_held_lock_is_contended();
  freeing_a_held_lock_releases_it();
  a_lost_lock_says_so();
  the_report_has_a_line_for_each_node();
  without_a_majority_there_is_no_quorum();
  WAIT_UNTIL(locks_on_nodes() == 0);
  redlock_factory_free(factory);
  return 0;
}
