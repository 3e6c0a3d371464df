// pause keeps a pod's namespaces open: it sleeps, reaps orphans as process 1, and ends when told to.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

var version = "unknown"

func reap() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}

func main() {
	for _, argument := range os.Args[1:] {
		if strings.EqualFold(argument, "-v") {
			fmt.Println("pause", version)
			return
		}
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	reap() // children that ended before the signal was watched
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		reap()
	}
}
