# Takes a lock, shows that nobody else gets it, and gives it back. Fiddle comes with Ruby; it lets other threads run meanwhile.
#
#   ruby lock.rb [URL...]     without any: redis://127.0.0.1:6379/0
require "fiddle/import"

module Redlock
  extend Fiddle::Importer
  dlload "libredlock.so.0"
  # The handles are opaque; `err` is where a pointer to an error is stored.
  extern "int redlock_factory_new(void *urls, size_t count, void *options, void *factory, void *err)"
  extern "void redlock_factory_free(void *factory)"
  extern "int redlock_acquire(void *factory, const char *resource, uint64_t ttl_ms, int64_t wait_ms, void *lock, void *err)"
  extern "int redlock_release(void *lock, void *err)"
  extern "void redlock_lock_free(void *lock)"
  extern "int64_t redlock_lock_validity_ms(void *lock)"
  extern "const char *redlock_error_message(void *error)"
  extern "void redlock_error_free(void *error)"

  # Fiddle reads no constants; these are those of redlock.h, which never change.
  OK = 0
  CONTENDED = 1

  # Calls a function that may fail, with a place for its error; the status, unless it is one that the caller does not expect.
  def self.call(name, *arguments, expected: [OK])
    err = place
    status = public_send(name, *arguments, err)
    return status if expected.include?(status)

    raise redlock_error_message(err.ptr).to_s
  ensure
    redlock_error_free(err.ptr)
  end

  # Where a function stores a handle.
  def self.place = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE).tap { |it| it[0, it.size] = "\0" * it.size }
end

urls = ARGV.map { |url| Fiddle::Pointer[url] }
factory, lock, other = Array.new(3) { Redlock.place }
Redlock.call(:redlock_factory_new, urls.map(&:to_i).pack("J*"), urls.size, nil, factory)
Redlock.call(:redlock_acquire, factory.ptr, "invoice:17", 10_000, 2000, lock)
begin
  puts "invoice:17 is ours for #{Redlock.redlock_lock_validity_ms(lock.ptr) / 1000} s"
  status = Redlock.call(:redlock_acquire, factory.ptr, "invoice:17", 10_000, 0, other, expected: [Redlock::CONTENDED])
  puts "another one gets status #{status}"
ensure
  Redlock.call(:redlock_release, lock.ptr)
  Redlock.redlock_lock_free(lock.ptr)
  Redlock.redlock_factory_free(factory.ptr)
end
puts "released"
