package redlock

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// loginUser is a user of this test on all nodes, whose password can be changed.
type loginUser struct {
	t    *testing.T
	name string
}

func newLoginUser(t *testing.T, password string) loginUser {
	t.Helper()
	user := loginUser{t, "go-" + strings.ToLower(t.Name())}
	for _, node := range nodeURLs() {
		redis(t, node, "ACL", "SETUSER", user.name, "on", "~*", "&*", "+@all")
	}
	t.Cleanup(func() {
		for _, node := range nodeURLs() {
			redis(t, node, "ACL", "DELUSER", user.name)
		}
	})
	user.change(password)
	return user
}

// change makes another password the only one, and cuts the connections that were made with the last one.
func (u loginUser) change(password string) {
	u.t.Helper()
	for _, node := range nodeURLs() {
		redis(u.t, node, "ACL", "SETUSER", u.name, "resetpass", ">"+password)
		redis(u.t, node, "CLIENT", "KILL", "USER", u.name)
	}
}

// urls are those of the nodes, with the user's name, and a password that is wrong.
func (u loginUser) urls() []string {
	urls := nodeURLs()
	for i, node := range urls {
		parsed, err := url.Parse(node)
		if err != nil {
			u.t.Fatal(err)
		}
		parsed.User = url.UserPassword(u.name, "outdated")
		urls[i] = parsed.String()
	}
	return urls
}

func (u loginUser) factory(options ...Option) *Factory {
	u.t.Helper()
	options = append(options, WithNodeTimeout(10*time.Second), WithConnectTimeout(10*time.Second))
	f, err := New(u.urls(), options...)
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { _ = f.Close() })
	return f
}

// locks waits until locks can be taken again.
func (u loginUser) locks(f *Factory) {
	u.t.Helper()
	name := resource(u.t)
	eventually(u.t, "a lock is taken", func() bool {
		lock, err := f.TryLock(background(), name, WithTTL(time.Minute))
		if err != nil {
			return false
		}
		return lock.Unlock(background()) == nil
	})
}

func TestACredentialsProviderIsAskedWhenConnectionsAreMade(t *testing.T) {
	user := newLoginUser(t, "first-secret")
	var password atomic.Value
	password.Store("first-secret")
	f := user.factory(WithCredentialsProvider(func() (string, string) { return user.name, password.Load().(string) }))
	user.locks(f)
	password.Store("second-secret")
	user.change("second-secret")
	user.locks(f)
	if report, _ := f.Check(); strings.Contains(report, "secret") {
		t.Fatal(report)
	}
}

func TestACredentialsProviderThatFailsIsToldOfAndAskedAgain(t *testing.T) {
	user := newLoginUser(t, "first-secret")
	var works atomic.Bool
	failures := make(chan func() (string, string, error), 2)
	failures <- func() (string, string, error) { return "", "", errors.New("the vault is\x00closed") }
	failures <- func() (string, string, error) { panic("no token") }
	f := user.factory(WithCredentialsProviderErr(func() (string, string, error) {
		if works.Load() {
			return "", "first-secret", nil
		}
		fail := <-failures
		failures <- fail
		return fail()
	}))
	for _, reason := range []string{"the vault is closed", "panicked: no token"} {
		eventually(t, reason, func() bool {
			report, err := f.Check()
			return err == nil && strings.Contains(report, reason)
		})
	}
	works.Store(true)
	user.locks(f)
}

func TestFactoriesWithAProviderHaveConnectionsOfTheirOwn(t *testing.T) {
	provide := WithCredentialsProvider(func() (string, string) { return "", "any" })
	one, other := likeAll(t, provide), likeAll(t, provide)
	defer one.Close()
	defer other.Close()
	if one.nodes == other.nodes {
		t.Fatal("two functions are taken for one")
	}
	lockAndUnlock(t, one)
	lockAndUnlock(t, other)
	_, err := New(nodeURLs(), WithCredentialsProvider(nil))
	refused(t, err, "an option is nil")
}

func TestSetCredentials(t *testing.T) {
	user := newLoginUser(t, "first-secret")
	f := user.factory()
	if err := f.SetCredentials("", "first-secret"); err != nil {
		t.Fatal(err)
	}
	user.locks(f)
	refused(t, f.SetCredentials("user\x00", "any"), "NUL")
	_ = f.Close()
	if err := f.SetCredentials("", "any"); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestAPasswordFileIsReadAtEachConnection(t *testing.T) {
	user := newLoginUser(t, "first-secret")
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-secret")
	f := user.factory(WithPasswordFile(file))
	user.locks(f)
	write("second-secret")
	user.change("second-secret")
	user.locks(f)
}
