// Answers every request with a page, over the socket that it is passed.
package main

import (
	"context"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

const greeting = "hello from Go"

func main() {
	page := template.Must(template.ParseFiles("page.tmpl"))
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		log.Fatal("no socket was passed: ", err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if err := page.Execute(w, greeting); err != nil {
			log.Print(err)
		}
	})
	server := &http.Server{}
	over, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	drained := make(chan struct{})
	go func() {
		<-over.Done()
		// What has begun is answered.
		if err := server.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
		close(drained)
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-drained
}
