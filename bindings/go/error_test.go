package redlock

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAnErrorTellsEachNodesPart(t *testing.T) {
	f, name := factory(t), resource(t)
	take(t, f, name, WithTTL(60*time.Second))
	_, err := f.TryLock(background(), name)
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("%T: %v", err, err)
	}
	if failed.Op != "lock" || failed.Resource != name || failed.Status != ErrContended {
		t.Fatalf("%+v", failed)
	}
	if len(failed.Nodes) != len(nodeURLs()) {
		t.Fatalf("%d nodes", len(failed.Nodes))
	}
	contended := 0
	for i, node := range failed.Nodes {
		if !strings.HasPrefix(nodeURLs()[i], strings.TrimSuffix(node.Address, "/0")) {
			t.Errorf("node %d is %q, not %q", i, node.Address, nodeURLs()[i])
		}
		if node.Message == "" {
			t.Errorf("node %d says nothing", i)
		}
		if node.Status == ErrContended {
			contended++
		}
	}
	if contended <= len(nodeURLs())/2 {
		t.Errorf("%d nodes were contended: %v", contended, failed)
	}
}

func TestTooFewNodesIsNotTheSameAsTaken(t *testing.T) {
	f, name := plainFactory(t), resource(t)
	goOn := stopNodes(t, len(nodeURLs())/2+1)
	_, err := f.TryLock(background(), name)
	if !errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrContended) {
		t.Fatalf("%v", err)
	}
	goOn()
	take(t, f, name)
}

func TestAMinorityOfHungNodesDoesNotMatter(t *testing.T) {
	f, name := factory(t), resource(t)
	stopNodes(t, (len(nodeURLs())-1)/2)
	lock := take(t, f, name)
	if err := lock.Unlock(background()); err != nil {
		t.Fatal(err)
	}
}

func TestPasswordsAppearInNoError(t *testing.T) {
	f, err := New([]string{"redis://user:s3cret@127.0.0.1:1/0"}, WithConnectTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.TryLock(background(), resource(t))
	var failed *Error
	if !errors.As(err, &failed) || failed.Status != ErrNoQuorum || len(failed.Nodes) != 1 {
		t.Fatalf("%v", err)
	}
	if failed.Nodes[0].Status != NodeUnreachable {
		t.Fatalf("%+v", failed.Nodes[0])
	}
	if text := failed.Error() + failed.Nodes[0].Address + failed.Nodes[0].Message; strings.Contains(text, "s3cret") {
		t.Fatal(text)
	}
}

func TestStatusesHaveNames(t *testing.T) {
	if ErrContended.Name() != "REDLOCK_ERR_CONTENDED" || ErrContended.Error() == "" {
		t.Fatal(ErrContended.Name(), ErrContended.Error())
	}
	if Status(4711).Name() != "REDLOCK_ERR_UNKNOWN" {
		t.Fatal(Status(4711).Name())
	}
}
