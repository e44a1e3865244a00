"""What changes around peers that are connected: the coordinator, the quality of a path. More: scenarios_recovery."""
from lab.network import Network
from lab.story import scenario
from lab.talk import missing, wait_all
from support.waiting import eventually

LONG = 120.0  # seconds; what a peer that has to notice a loss by itself may take


@scenario("coordinator-restart",
          "the coordinator is killed while data flows, and restarted: data goes on, and newcomers meet all", quick=True)
def coordinator_restart(story):
    with Network() as net:
        coordinator = net.coordinator()
        talkers = [story.join(net, net.site(kind).hosts[0], name).talk()
                   for kind, name in (("port", "alice"), ("cgnat", "bob"))]
        wait_all(talkers)
        coordinator.kill()
        story.say("the coordinator is dead")
        for _ in range(3):
            wait_all(talkers, fresh=True)
        story.say("alice and bob still hear each other")
        coordinator.restart()
        story.say("the coordinator is back")
        talkers.append(story.join(net, net.site("addr").hosts[0], "carol").talk())
        took = wait_all(talkers, deadline=LONG)
        story.say(f"{took:.2f} s after carol, who is new, has registered, all three hear each other")
        story.expect_unchanged(talkers)


BAD_PATH = ["--delay", "100ms", "--loss", "10%", "--duplicate", "10%", "--reorder", "10%"]
LINES = 1000  # that are counted
STEP = 0.01  # seconds between two lines


@scenario("lossy-path",
          "10% loss, 10% duplication, reordering, 100 ms of delay: they connect, and lines stay unchanged", quick=True)
def lossy_path(story):
    with Network() as net:
        net.coordinator()
        hosts = net.site("port", wire=BAD_PATH).hosts[0], net.site("port").hosts[0]
        alice, bob = (story.join(net, host, name).talk(STEP) for host, name in zip(hosts, ("alice", "bob")))
        took = wait_all([alice, bob], deadline=LONG)
        story.say(f"both hear each other {took:.2f} s after the second has registered")
        since = {talker.name: talker.said for talker in (alice, bob)}
        # A line that was said a second after the last one that counts: nothing is under way for so long.
        until = {name: number + LINES + int(1 / STEP) for name, number in since.items()}
        eventually(lambda: not missing([alice, bob], until), "all lines that arrive", deadline=LONG)
        for listener, speaker in ((alice, bob), (bob, alice)):
            count_lines(story, listener, speaker, since[speaker.name])
        story.expect_unchanged([alice, bob])


def count_lines(story, listener, speaker, since):
    """Of LINES lines from `since` on most arrive, each once and in order."""
    numbers = [number for number in listener.heard_from(speaker.name) if since <= number < since + LINES]
    different, late = len(set(numbers)), sum(later < earlier for earlier, later in zip(numbers, numbers[1:]))
    copies = len(numbers) - different
    story.say(f"of {LINES} lines of {speaker.name}, {different} arrived at {listener.name}, {copies} of them twice, "
              f"and {late} times one came after a later one")
    # Six standard deviations to each side.
    story.expect(0.84 * LINES <= different, "that is less than a path with 10% loss delivers")
    story.expect(copies == 0, "a line came twice")
    story.expect(late == 0, "a line came after a later one")
