import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Runs steps one after the other, tells each one's outcome in a line, and remembers which failed. */
final class Steps {
    /** The SDK waits for some answers without an end. */
    private static final int STEP_SECONDS_MAX = 60;

    private final ExecutorService runner = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    });
    private final List<String> failed = new ArrayList<>();
    private int passed;

    /** What a step does; it passes when it returns. */
    interface Body {
        void run() throws Exception;
    }

    void step(String name, Body body) {
        Future<Void> running = runner.submit((Callable<Void>) () -> {
            body.run();
            return null;
        });
        try {
            running.get(STEP_SECONDS_MAX, TimeUnit.SECONDS);
            passed++;
            System.out.println("PASS " + name);
        } catch (TimeoutException tooLate) {
            running.cancel(true);
            fail(name, "no answer within " + STEP_SECONDS_MAX + " s");
        } catch (ExecutionException failure) {
            fail(name, chain(failure.getCause()));
        } catch (InterruptedException stopped) {
            throw new IllegalStateException(stopped);
        }
    }

    private void fail(String name, String why) {
        failed.add(name);
        System.out.println("FAIL " + name + ": " + why);
    }

    /** Tells the whole, and returns whether every step passed. */
    boolean finish() {
        System.out.printf("%d steps passed, %d failed%s%n", passed, failed.size(),
                failed.isEmpty() ? "" : ": " + String.join(", ", failed));
        return failed.isEmpty() && passed > 0;
    }

    /** A failure and what caused it, in one line. */
    static String chain(Throwable failure) {
        StringBuilder all = new StringBuilder();
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            all.append(all.length() == 0 ? "" : " <- ").append(cause.toString().replace('\n', ' '));
        }
        return all.toString();
    }

    static void equal(String what, Object expected, Object seen) {
        if (!Objects.equals(expected, seen)) {
            throw new AssertionError(what + " is " + seen + ", not " + expected);
        }
    }
}
