// Takes a lock, shows that nobody else gets it, and gives it back. Needs JNA (net.java.dev.jna:jna, Debian's libjna-java).
//
//   java -cp jna.jar Lock.java [URL...]     without any: redis://127.0.0.1:6379/0

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

public final class Lock {
    /** Functions of redlock.h, for systems of 64 bits, where size_t is a long. */
    interface Redlock extends Library {
        /** JNA reads no constants; these are those of redlock.h, which never change. */
        int OK = 0;
        int CONTENDED = 1;

        int redlock_factory_new(String[] urls, long count, Pointer options, PointerByReference factory, PointerByReference err);

        void redlock_factory_free(Pointer factory);

        int redlock_acquire(
                Pointer factory, String resource, long ttlMs, long waitMs, PointerByReference lock, PointerByReference err);

        int redlock_release(Pointer lock, PointerByReference err);

        void redlock_lock_free(Pointer lock);

        long redlock_lock_validity_ms(Pointer lock);

        String redlock_error_message(Pointer error);

        void redlock_error_free(Pointer error);
    }

    private static final Redlock REDLOCK = Native.load("libredlock.so.0", Redlock.class);

    /** Fails with the error's message if the status is not the expected one, and frees the error. */
    private static int check(int expected, int status, PointerByReference err) {
        try {
            if (status != expected) {
                throw new IllegalStateException(REDLOCK.redlock_error_message(err.getValue()));
            }
        } finally {
            REDLOCK.redlock_error_free(err.getValue());
        }
        return status;
    }

    public static void main(String[] urls) {
        PointerByReference err = new PointerByReference();
        PointerByReference factory = new PointerByReference();
        PointerByReference lock = new PointerByReference();
        check(Redlock.OK, REDLOCK.redlock_factory_new(urls, urls.length, null, factory, err), err);
        check(Redlock.OK, REDLOCK.redlock_acquire(factory.getValue(), "invoice:17", 10_000, 2_000, lock, err), err);
        try {
            System.out.printf("invoice:17 is ours for %d s%n", REDLOCK.redlock_lock_validity_ms(lock.getValue()) / 1000);
            PointerByReference other = new PointerByReference();
            int status = REDLOCK.redlock_acquire(factory.getValue(), "invoice:17", 10_000, 0, other, err);
            System.out.printf("another one gets status %d%n", check(Redlock.CONTENDED, status, err));
        } finally {
            check(Redlock.OK, REDLOCK.redlock_release(lock.getValue(), err), err);
            REDLOCK.redlock_lock_free(lock.getValue());
            REDLOCK.redlock_factory_free(factory.getValue());
        }
        System.out.println("released");
    }
}
