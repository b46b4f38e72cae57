// Credentials that the program gives: connections wait for them, ask once, and say why there are none.

#include "test.h"

static redlock_factory *asking_factory(redlock_queue *queue) {
  redlock_factory *factory = new_factory_with("ask_credentials", "on");
  OK(redlock_factory_ask_for_credentials(factory, queue, 7, &err));
  return factory;
}

static void asked(redlock_queue *queue) {
  redlock_event event = next_event(queue);
  CHECK(event.kind == REDLOCK_EVENT_CREDENTIALS && event.id == 7 && event.status == REDLOCK_OK);
  CHECK(event.lock == NULL && event.error == NULL);
}

static void connections_wait_for_credentials(void) {
  redlock_queue *queue = new_queue();
  redlock_factory *factory = asking_factory(queue);
  asked(queue);
  FAILS(redlock_cancel(queue, 7, &err), REDLOCK_ERR_INVALID_ARGUMENT, "7");
  // The default user needs no password here, so that any is right.
  OK(redlock_factory_set_credentials(factory, "default", "secret", &err));
  redlock_lock_free(lock_now(factory, "credentials", 60000));
  redlock_factory_free(factory);
  redlock_queue_free(queue);
}

static bool tells(redlock_factory *factory, const char *reason) {
  char *report = NULL;
  OK(redlock_factory_check(factory, &report, &err));
  bool told = contains(report, reason);
  redlock_string_free(report);
  return told;
}

static void the_reason_why_there_are_none_is_told(void) {
  redlock_queue *queue = new_queue();
  redlock_factory *factory = asking_factory(queue);
  asked(queue);
  OK(redlock_factory_refuse_credentials(factory, "the vault is closed", &err));
  WAIT_UNTIL(tells(factory, "the vault is closed"));
  redlock_queue_free(queue);
  redlock_factory_free(factory);
}

static void wrong_arguments(void) {
  redlock_factory *factory = new_factory();
  FAILS(redlock_factory_set_credentials(NULL, NULL, "secret", &err), REDLOCK_ERR_INVALID_ARGUMENT, "factory is NULL");
  FAILS(redlock_factory_set_credentials(factory, "user", NULL, &err), REDLOCK_ERR_INVALID_ARGUMENT, "password is NULL");
  FAILS(redlock_factory_ask_for_credentials(factory, NULL, 1, &err), REDLOCK_ERR_INVALID_ARGUMENT, "queue is NULL");
  FAILS(redlock_factory_refuse_credentials(factory, NULL, &err), REDLOCK_ERR_INVALID_ARGUMENT, "reason is NULL");
  OK(redlock_factory_set_credentials(factory, NULL, NULL, &err));
  redlock_factory_free(factory);
}

int main(void) {
  connections_wait_for_credentials();
  the_reason_why_there_are_none_is_told();
  wrong_arguments();
  return 0;
}
