#!/bin/busybox sh
# What the guest agent and people call: tells process 1 how the machine is to end.
case " $* " in
  *" -r "*) kill -TERM 1 ;;
  *" -H "*) kill -USR1 1 ;;
  *) kill -USR2 1 ;;
esac
