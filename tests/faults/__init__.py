"""Faults at random, in numbers: kills, full disks, dying servers, mutated inputs. `make torture` (an hour) runs it."""
