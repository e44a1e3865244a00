"""Several things at a time. Each is done in one thread, start to end: a program does not outlive the thread that starts
it."""
import queue
import threading


def in_parallel(work, items, jobs):
    """(item, work(item)) of each, as it is done, `jobs` at a time."""
    waiting, done = queue.SimpleQueue(), queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def take():
        while True:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            done.put((item, work(item)))
    # Daemons, so that SystemExit in the main thread need not wait for their deadlines: names.remove_own clears away.
    for _ in range(min(jobs, len(items))):
        threading.Thread(target=take, daemon=True).start()
    for _ in items:
        yield done.get()
