package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// attempts bounds how often a connection is tried.
const attempts = 4

// fetch writes each answer into a file named for what was asked: its status in
// the first line, or "error", then its body.
func fetch() {
	if len(os.Args) < 3 {
		fail("the folder is missing")
	}
	v3, v4 := os.Getenv("ECS_CONTAINER_METADATA_URI"), os.Getenv("ECS_CONTAINER_METADATA_URI_V4")
	base, err := url.Parse(v4)
	if err != nil || v4 == "" {
		fail("ECS_CONTAINER_METADATA_URI_V4 is no address: " + v4)
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 4 * time.Second}).DialContext,
	}}
	for _, request := range []struct{ name, method, url, body string }{
		{"container", http.MethodGet, v4, ""},
		{"task", http.MethodGet, v4 + "/task", ""},
		{"tags", http.MethodGet, v4 + "/taskWithTags", ""},
		{"stats", http.MethodGet, v4 + "/stats", ""},
		{"task-stats", http.MethodGet, v4 + "/task/stats", ""},
		{"v3-container", http.MethodGet, v3, ""},
		{"v3-task", http.MethodGet, v3 + "/task", ""},
		{"credentials", http.MethodGet, "http://" + base.Host + os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), ""},
		{"protect", http.MethodPut, os.Getenv("ECS_AGENT_URI") + "/task-protection/v1/state", `{"ProtectionEnabled":true,"ExpiresInMinutes":5}`},
		{"protection", http.MethodGet, os.Getenv("ECS_AGENT_URI") + "/task-protection/v1/state", ""},
	} {
		text := answer(client, request.method, request.url, request.body)
		if err := os.WriteFile(filepath.Join(os.Args[2], request.name), []byte(text), 0o644); err != nil {
			fail(err.Error())
		}
		if strings.HasPrefix(text, "error") {
			return // the others would not be answered either
		}
	}
}

// answer asks, and asks again where no connection came about, as SDKs do: whose
// request was sent is not asked again.
func answer(client *http.Client, method, address, body string) string {
	for attempt := 1; ; attempt++ {
		text, connected := answerOnce(client, method, address, body)
		if connected || attempt == attempts {
			return text
		}
		fmt.Println("attempt", attempt, "of", method, address+":", text)
	}
}

func answerOnce(client *http.Client, method, address, body string) (text string, connected bool) {
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		return "error\n" + err.Error(), false
	}
	trace := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	response, err := client.Do(request.WithContext(trace))
	if err != nil {
		return fmt.Sprintf("error\nconnected: %t: %v", connected, err), connected
	}
	answer, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return "error\n" + err.Error(), true
	}
	return fmt.Sprintf("%d\n%s", response.StatusCode, answer), true
}
