"""natcoord's relay: packets between the v2 clients of a topic, and what bounds them."""
import os
import signal

from natcoord_v2_test import V2Case


class RelayCase(V2Case):
    def counter(self, name, count):
        """A counter of the `count`th report; asks for it."""
        os.kill(self.coordinator.pid, signal.SIGUSR1)
        line = self.coordinator.wait_err(r"counters: (.*)", count=count)[1]
        return int(dict(pair.split("=") for pair in line.split())[name])


class RelayTest(RelayCase):
    def test_a_packet_goes_to_whom_it_is_for(self):
        a, b, c = self.join("a"), self.join("b"), self.join("c")
        a.relay(b"for b", to=[b.id])
        a.relay(b"for c", to=[c.id])
        self.assertEqual(b.next_relayed(), (a.id, b"for b"))
        self.assertEqual(c.next_relayed(), (a.id, b"for c"))

    def test_one_upload_reaches_everybody_but_its_sender_and_other_topics(self):
        a, b, c, other = self.join("a"), self.join("b"), self.join("c"), self.join("a", topic="other")
        a.relay(b"hello")
        self.assertEqual(b.next_relayed(), (a.id, b"hello"))
        self.assertEqual(c.next_relayed(), (a.id, b"hello"))
        b.relay(b"back", to=[a.id, other.id])
        self.assertEqual(a.next_relayed(), (b.id, b"back"))
        other.in_step()
        self.assertEqual(other.relayed, [])

    def test_packets_stay_in_order(self):
        a, b = self.join("a"), self.join("b")
        for number in range(200):
            a.relay(b"%d" % number, to=[b.id])
        self.assertEqual([b.next_relayed()[1] for _ in range(200)], [b"%d" % number for number in range(200)])

    def test_a_packet_for_nobody_is_counted(self):
        a = self.join("a")
        a.relay(b"hello", to=[12345])
        a.in_step()
        self.assertEqual(self.counter("relay_for_nobody", 1), 1)


class RelayOffTest(RelayCase):
    options = ("--relay", "off")

    def test_nothing_is_relayed_and_the_welcome_says_so(self):
        a, b = self.join("a"), self.join("b")
        self.assertFalse(a.welcome["relay"])
        a.relay(b"hello")
        a.in_step()
        b.in_step()
        self.assertEqual(b.relayed, [])
        self.assertEqual(self.counter("relay_off", 1), 1)


class RelayRateTest(RelayCase):
    options = ("--relay-rate", "100k")

    def test_what_is_over_the_rate_is_dropped(self):
        a, b = self.join("a"), self.join("b")
        for _ in range(1000):
            a.relay(bytes(1000), to=[b.id])
        a.in_step()
        over = self.counter("relay_over_rate", 1)
        self.assertGreater(over, 500)  # a burst of 256 KiB, and little behind it
        for _ in range(1000 - over):
            b.next_relayed()


class SlowReceiverTest(RelayCase):
    options = ("--relay-rate", "1000G", "--relay-total-rate", "1000G", "--relay-quota", "0")

    def test_it_delays_nobody_and_loses_the_oldest(self):
        a, b = self.join("a"), self.join("b")
        slow = self.join("slow", receive_buffer=4096)
        sent = 3000
        for number in range(sent):  # 3 MB, of which the slow one takes nothing
            a.relay(b"%d." % number + bytes(1000), to=[b.id, slow.id])
            self.assertEqual(b.next_relayed()[1].split(b".")[0], b"%d" % number)
        dropped = self.counter("relay_slow_receiver", 1)
        self.assertGreater(dropped, 1000)
        got = [int(slow.next_relayed()[1].split(b".")[0]) for _ in range(sent - dropped)]
        self.assertEqual(got, sorted(got))
        self.assertEqual(got[-1], sent - 1, "the newest is never dropped")

    def test_a_message_overtakes_what_is_relayed(self):
        a, slow = self.join("a"), self.join("slow", receive_buffer=4096)
        for _ in range(3000):
            a.relay(bytes(1000), to=[slow.id])
        a.in_step()
        self.join("newcomer")
        a.wait_delta(lambda message: any(peer["name"] == "newcomer" for peer in message["joined"]))
        slow.wait_delta(lambda message: any(peer["name"] == "newcomer" for peer in message["joined"]))
        ahead = len(slow.relayed)  # what the kernel held
        self.assertGreater(ahead, 0)
        for _ in range(ahead + 100):  # and more behind it
            slow.next_relayed()

    def test_who_missed_messages_is_told_everything_anew(self):
        a, slow = self.join("a"), self.join("slow", receive_buffer=4096)
        for _ in range(3000):
            a.relay(bytes(1000), to=[slow.id])
        for _ in range(90):  # more than wait for one client, fewer than are too many at once
            a.send(type="punch", to=slow.id)
        a.in_step()
        self.assertGreater(self.counter("messages_dropped", 1), 0)
        while slow.next_message()["type"] != "snapshot":
            pass
